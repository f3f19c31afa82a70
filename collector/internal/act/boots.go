package act

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
)

// bootsShown is how many boots [Acts.Boots] returns.
const bootsShown = 10

// maxBootRecord is how much of a record of a boot is read, in bytes.
const maxBootRecord = 256 << 10

// Boots returns how the last boots of an endpoint ended, newest first.
func (s *Acts) Boots(ctx context.Context, a Actor, endpointID string) ([]endpoint.Boot, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]endpoint.Boot, error) {
		e, err := endpoint.ByID(ctx, q, endpointID)
		if err == nil {
			err = a.own(e.OrganisationID)
		}
		if err != nil {
			return nil, err
		}
		return endpoint.Boots(ctx, q, e.ID, bootsShown)
	})
}

// booted keeps what accepted evidence says of how a boot ended, and puts it into the
// timeline of its incident. A record that cannot be read is kept as unreadable: the
// evidence stands, whatever it holds.
func (s *Acts) booted(ctx context.Context, d *deed, a evidence.Acquisition, items []evidence.Item, inc *incident.Incident) error {
	if a.Trigger != artifact.TriggerBoot {
		return nil // no other acquisition is one of a boot, whatever an endpoint puts into it
	}
	for _, it := range items {
		if it.Kind != artifact.KindBoot {
			continue
		}
		line, err := s.evidence.Head(ctx, it, maxBootRecord)
		if err != nil {
			s.log.WarnContext(ctx, "record of a boot cannot be read", slog.String("evidence", it.ID), slog.Any("error", err))
		}
		b := endpoint.ReadBoot(line)
		b.AcquisitionID, b.OrganisationID, b.EndpointID, b.EvidenceID, b.ReceivedAt = a.ID, a.OrganisationID, a.EndpointID, it.ID, a.ReceivedAt
		facts, err := endpoint.InsertBoot(ctx, d.tx, b)
		if err == nil {
			_, err = d.record(ctx, endpoint.ActBoot, a.EndpointID, facts)
		}
		if err != nil {
			return err
		}
		d.tell(s, Event{Kind: EventEndpoint, EndpointID: a.EndpointID, IncidentID: a.IncidentID})
		if inc == nil || !b.Judged() {
			return nil
		}
		return s.line(ctx, d, *inc, a.EndpointID, incident.Entry{Kind: incident.EntryBoot, AgentAt: b.EndedBefore, Params: bootFacts(b), LedgerIdx: a.LedgerIdx})
	}
	return nil
}

// wentDown adds to the facts of an acquisition what its record of a shutdown says.
func (s *Acts) wentDown(ctx context.Context, items []evidence.Item, facts map[string]string) {
	for _, it := range items {
		if it.Kind != artifact.KindShutdown {
			continue
		}
		line, err := s.evidence.Head(ctx, it, maxBootRecord)
		if err != nil {
			s.log.WarnContext(ctx, "record of a shutdown cannot be read", slog.String("evidence", it.ID), slog.Any("error", err))
			return
		}
		down, ok := endpoint.ReadShutdown(line)
		if !ok {
			return
		}
		facts["shutdown_reason"], facts["shutdown_source"], facts["shutdown_type"], facts["shutdown_tty"] = down.Reason, down.Source, down.Type, down.ByTTY
		facts["shutdown_allowed_ns"], facts["shutdown_hold_ns"] = nanoseconds(down.Allowed), nanoseconds(down.Hold)
		if down.ByUID >= 0 {
			facts["shutdown_uid"] = strconv.FormatInt(down.ByUID, 10)
		}
		return
	}
}

// bootFacts are what the timeline says of a boot. Absent is not known.
func bootFacts(b endpoint.Boot) map[string]string {
	f := map[string]string{
		"endpoint": b.EndpointID, "acquisition": b.AcquisitionID, "evidence": b.EvidenceID, "verdict": b.Known(), "boot_reason": b.Reason,
		"asked_by": b.Asked.By, "asked_type": b.Asked.Type, "asked_who": b.Asked.Who, "boot_id": b.BootID, "previous_boot_id": b.PreviousBootID,
		"last_evidence_at": sqldb.FormatTime(b.LastEvidenceAt), "ended_after": sqldb.FormatTime(b.EndedAfter), "ended_before": sqldb.FormatTime(b.EndedBefore),
		"gap_min_ns": nanoseconds(b.GapMin), "gap_max_ns": nanoseconds(b.GapMax), "added_delay_ns": nanoseconds(b.AddedDelay),
	}
	if b.Verdict != b.Known() {
		f["verdict_raw"] = b.Verdict
	}
	return f
}

func nanoseconds(d time.Duration) string {
	if d < 0 {
		return ""
	}
	return strconv.FormatInt(int64(d), 10)
}
