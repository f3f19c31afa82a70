package act

import (
	"context"
	"errors"
	"maps"
	"math"
	"strconv"
	"strings"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// IsolationEvents returns what happened to the isolation of an endpoint without an
// order, newest first.
func (s *Acts) IsolationEvents(ctx context.Context, a Actor, endpointID string, n int) ([]endpoint.IsolationEvent, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]endpoint.IsolationEvent, error) {
		e, err := endpoint.ByID(ctx, q, endpointID)
		if err == nil {
			err = a.own(e.OrganisationID)
		}
		if err != nil {
			return nil, err
		}
		return endpoint.IsolationEvents(ctx, q, endpointID, limit(n))
	})
}

// IsolationHappened records what happened to an endpoint's isolation, and the isolation
// as it was measured afterwards when there is one. Again is no error. What an endpoint
// tells again and again is counted, and told with the next one; see [restraint].
func (s *Acts) IsolationHappened(ctx context.Context, endpointID string, ev endpoint.IsolationEvent, i *endpoint.IsolationStatus) error {
	if err := id.Check(id.IsolationEvent, ev.ID); err != nil {
		return &Invalid{Field: "event_id", Code: "malformed", Err: err}
	}
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		e, err := d.agent(ctx, endpointID)
		if err != nil {
			return err
		}
		ev.OrganisationID, ev.EndpointID, ev.ReceivedAt, ev.At = e.OrganisationID, e.ID, d.now, sane(ev.At)
		ev.Count = max(ev.Count, 1)
		switch ev.Kind {
		case endpoint.EventReleasedByTime, endpoint.EventRolledBack, endpoint.EventReleasedByCode, endpoint.EventReleasedByUninstall:
			if err := group.SetEnded(ctx, d.tx, e.ID, ev.CommandID, string(ev.Kind), ev.At.Add(-e.ClockOffset)); err != nil {
				return err
			}
		}
		if held, ok := s.restraint.may(e.ID, string(ev.Kind), d.now); ok {
			fresh, err := s.eventLine(ctx, d, e, ev, held, i)
			if err != nil || !fresh {
				return err
			}
		} else {
			d.after = append(d.after, func() { s.restraint.holdEvent(ev) })
		}
		d.tell(s, Event{Kind: EventEndpoint, EndpointID: e.ID})
		if i == nil {
			return nil
		}
		return s.measuredThen(ctx, d, e, *i)
	})
}

// eventLine stores an event together with what was held back before it, and reports
// whether it was new. What it saw line by line stands in its row alone; the ledger binds
// that by a digest.
func (s *Acts) eventLine(ctx context.Context, d *deed, e endpoint.Endpoint, ev endpoint.IsolationEvent, held heldBack, i *endpoint.IsolationStatus) (bool, error) {
	ev.Count = uint32(min(uint64(ev.Count)+held.times, math.MaxUint32))
	fresh, err := endpoint.InsertIsolationEvent(ctx, d.tx, ev)
	if err != nil || !fresh {
		return false, err
	}
	facts := map[string]string{
		"endpoint": e.ID, "event": string(ev.Kind), "event_id": ev.ID, "at": sqldb.FormatTime(ev.At), "command_id": ev.CommandID, "by": ev.By, "detail": ev.Detail,
		"differences": firstLine(ev.Differences), "seen": firstLine(ev.Seen), "count": strconv.FormatUint(uint64(ev.Count), 10),
	}
	if i != nil {
		facts["observed"] = string(i.Observed)
	}
	held.tell(facts)
	d.after = append(d.after, func() { s.restraint.wrote(e.ID, string(ev.Kind), d.now) })
	row := ev.Details()
	facts["lines_sha256"] = row["lines_sha256"]
	maps.Copy(row, facts)
	idx, err := d.record(ctx, endpoint.ActEvent, e.ID, row)
	if err != nil {
		return false, err
	}
	inc, err := s.happenedIn(ctx, d, e.ID, ev.CommandID)
	if errors.Is(err, incident.ErrNotFound) {
		return true, s.announceDrift(ctx, d, e, ev, incident.Incident{})
	}
	if err == nil {
		err = s.announceDrift(ctx, d, e, ev, inc)
	}
	if err != nil {
		return false, err
	}
	return true, s.line(ctx, d, inc, e.ID, incident.Entry{Kind: incident.EntryIsolationEvent, AgentAt: ev.At, Params: facts, LedgerIdx: idx})
}

// heldEvents stores the events of an endpoint that were held back and after which no
// other of their kind has come, as far as there is room by now.
func (s *Acts) heldEvents(ctx context.Context, d *deed, e endpoint.Endpoint) error {
	for _, held := range s.restraint.waiting(e.ID, d.now) {
		ev := held.event
		held.times -= min(held.times, uint64(ev.Count)) // it counts itself
		held.n--
		if _, err := s.eventLine(ctx, d, e, ev, held, nil); err != nil {
			return err
		}
	}
	return nil
}

// firstLine is how a list of lines begins, short enough for a ledger that is kept for ever.
func firstLine(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.ToValidUTF8(lines[0][:min(len(lines[0]), maxFirstLine)], "")
}

const maxFirstLine = 160 // bytes
