package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/sqldb"
)

// CloseIncidentAs closes an incident and says how it ended; closing a closed one is
// [ErrConflict]. Orders of it to have a PC go down that still wait for their endpoint are
// withdrawn. Nothing of it is removed, of a false alarm neither. A drill ends as one, whatever is
// said, and what came of it is kept.
func (s *Acts) CloseIncidentAs(ctx context.Context, a Actor, incidentID string, code incident.CloseCode, reason string) error {
	if !code.Valid() {
		return &Invalid{Field: "code", Code: "unknown", Err: fmt.Errorf("no incident ends as %.40q", code)}
	}
	if err := text("reason", reason, incident.MaxText, false); err != nil {
		return err
	}
	return s.write(ctx, a, mayRunIncident, func(ctx context.Context, d *deed) error {
		inc, err := incident.Find(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		if !inc.ClosedAt.IsZero() {
			return fmt.Errorf("%w: %s is closed", ErrConflict, inc.Number)
		}
		if inc.Drill {
			code = incident.Drilled
		}
		if err := s.withdrawAll(ctx, d, inc, reason); err != nil {
			return err
		}
		if err := incident.Close(ctx, d.tx, inc.ID, code, d.now); err != nil {
			return err
		}
		d.attend(inc.EndpointIDs...)
		idx, err := d.record(ctx, incident.ActClose, inc.ID, map[string]string{"number": inc.Number, "code": string(code), "reason": reason})
		if err != nil {
			return err
		}
		if err := s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryClosed, Text: reason, LedgerIdx: idx, Params: map[string]string{"close_code": string(code)}}); err != nil || !inc.Drill {
			return err
		}
		return s.keepResult(ctx, d, inc)
	})
}

// ReopenIncident opens a closed incident again. One that is open, or that was merged into
// another, is [ErrConflict].
func (s *Acts) ReopenIncident(ctx context.Context, a Actor, incidentID, reason string) error {
	reason = strings.TrimSpace(reason)
	if err := text("reason", reason, incident.MaxText, true); err != nil {
		return err
	}
	return s.write(ctx, a, mayRunIncident, func(ctx context.Context, d *deed) error {
		inc, err := incident.Find(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		switch {
		case inc.ClosedAt.IsZero():
			return fmt.Errorf("%w: %s is open", ErrConflict, inc.Number)
		case inc.MergedInto != "":
			return fmt.Errorf("%w: %s goes on in another incident", ErrConflict, inc.Number)
		}
		if err := incident.Reopen(ctx, d.tx, inc.ID); err != nil {
			return err
		}
		d.attend(inc.EndpointIDs...)
		idx, err := d.record(ctx, incident.ActReopen, inc.ID, map[string]string{"number": inc.Number, "closed_at": sqldb.FormatTime(inc.ClosedAt), "code": string(inc.CloseCode), "reason": reason})
		if err != nil {
			return err
		}
		return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryReopened, Text: reason, LedgerIdx: idx})
	})
}

// carryHold puts an incident under the legal hold that another is under from which endpoints
// come into it, unless it is held already.
func (s *Acts) carryHold(ctx context.Context, d *deed, from, to incident.Incident) error {
	hold, _, held, err := holdOf(ctx, d.tx, from)
	if err != nil || !held {
		return err
	}
	if _, _, held, err := holdOf(ctx, d.tx, to); held || err != nil {
		return err
	}
	why := cutText(hold.Purpose+" ("+from.Number+")", exhibit.MaxText)
	e, err := d.happened(ctx, exhibit.Item{IncidentID: to.ID}, exhibit.Event{Type: exhibit.Hold, Purpose: why}, nil)
	if err != nil {
		return err
	}
	return s.custodyLine(ctx, d, to, to.Number, e)
}

// MergeIncident has an incident go on in another: its endpoints join that one, and it is
// closed and points there. Its timeline, evidence and record stay where they are; a legal hold
// goes on in the other too. Both must be open.
func (s *Acts) MergeIncident(ctx context.Context, a Actor, incidentID, intoID, reason string) (into incident.Incident, err error) {
	reason = strings.TrimSpace(reason)
	if err := text("reason", reason, incident.MaxText, true); err != nil {
		return into, err
	}
	err = s.write(ctx, a, mayRunIncident, func(ctx context.Context, d *deed) error {
		inc, err := incident.Find(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		into, err = incident.Find(ctx, d.tx, d.actor.OrganisationID, intoID)
		if errors.Is(err, incident.ErrNotFound) || err == nil && into.ID == inc.ID {
			return &Invalid{Field: "into", Code: "unknown", Err: fmt.Errorf("there is no other incident %.60q", intoID)}
		}
		if err != nil {
			return err
		}
		for _, i := range []incident.Incident{inc, into} {
			if !i.ClosedAt.IsZero() {
				return fmt.Errorf("%w: %s is closed", ErrConflict, i.Number)
			}
		}
		if inc.Drill != into.Drill {
			return fmt.Errorf("%w: one of %s and %s is a drill, and stays one", ErrConflict, inc.Number, into.Number)
		}
		if err := s.carryHold(ctx, d, inc, into); err != nil {
			return err
		}
		if err := incident.Merge(ctx, d.tx, inc.ID, into.ID, d.now); err != nil {
			return err
		}
		idx, err := d.record(ctx, incident.ActMerge, inc.ID, map[string]string{"number": inc.Number, "into": into.ID, "into_number": into.Number, "reason": reason})
		if err != nil {
			return err
		}
		if err := s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryMerged, Text: reason, LedgerIdx: idx, Params: map[string]string{"number": into.Number, "incident": into.ID}}); err != nil {
			return err
		}
		if err := s.line(ctx, d, into, "", incident.Entry{Kind: incident.EntryMergedIn, Text: reason, LedgerIdx: idx, Params: map[string]string{"number": inc.Number, "incident": inc.ID}}); err != nil {
			return err
		}
		for _, id := range inc.EndpointIDs {
			e, err := endpoint.ByID(ctx, d.tx, id)
			if err != nil {
				return err
			}
			if err := s.join(ctx, d, into, e); err != nil {
				return err
			}
		}
		d.attend(inc.EndpointIDs...)
		return nil
	})
	return into, err
}

// SplitIncident takes endpoints out of an open incident and opens another one with them. What
// the incident has of them until then, such as their evidence, stays in it; a legal hold goes
// on in both. At least one endpoint must be left.
func (s *Acts) SplitIncident(ctx context.Context, a Actor, incidentID string, endpointIDs []string, title, reason string) (made incident.Incident, err error) {
	title, reason = strings.TrimSpace(title), strings.TrimSpace(reason)
	if err := text("title", title, incident.MaxTitle, true); err != nil {
		return made, err
	}
	if err := text("reason", reason, incident.MaxText, true); err != nil {
		return made, err
	}
	if len(endpointIDs) == 0 {
		return made, &Invalid{Field: "endpoint_ids", Code: "required", Err: errors.New("no endpoint is named")}
	}
	err = s.write(ctx, a, mayRunIncident, func(ctx context.Context, d *deed) error {
		inc, err := incident.Find(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		if !inc.ClosedAt.IsZero() {
			return fmt.Errorf("%w: %s is closed", ErrConflict, inc.Number)
		}
		rest := slices.DeleteFunc(slices.Clone(inc.EndpointIDs), func(e string) bool { return slices.Contains(endpointIDs, e) })
		for _, e := range endpointIDs {
			if !slices.Contains(inc.EndpointIDs, e) {
				return &Invalid{Field: "endpoint_ids", Code: "unknown", Err: fmt.Errorf("%.60q is no endpoint of %s", e, inc.Number)}
			}
		}
		if len(rest) == 0 {
			return &Invalid{Field: "endpoint_ids", Code: "range", Err: errors.New("no endpoint would be left")}
		}
		if made, err = s.open(ctx, d, NewIncident{Title: title, Classification: inc.Classification, Reporter: inc.Reporter, DiscoveredAt: inc.DiscoveredAt, EndpointIDs: endpointIDs, Drill: inc.Drill}); err != nil {
			return err
		}
		if err := incident.SetSplitFrom(ctx, d.tx, made.ID, inc.ID); err != nil {
			return err
		}
		made.SplitFrom = inc.ID
		for _, e := range endpointIDs {
			if err := incident.Split(ctx, d.tx, inc.ID, e); err != nil {
				return err
			}
		}
		idx, err := d.record(ctx, incident.ActSplit, inc.ID, map[string]string{"number": inc.Number, "into": made.ID, "into_number": made.Number,
			"endpoints": strings.Join(endpointIDs, " "), "reason": reason})
		if err != nil {
			return err
		}
		if err := s.line(ctx, d, inc, endpointIDs[0], incident.Entry{Kind: incident.EntrySplit, Text: reason, LedgerIdx: idx, Params: map[string]string{"number": made.Number, "incident": made.ID}}); err != nil {
			return err
		}
		if err := s.line(ctx, d, made, endpointIDs[0], incident.Entry{Kind: incident.EntrySplitFrom, Text: reason, LedgerIdx: idx, Params: map[string]string{"number": inc.Number, "incident": inc.ID}}); err != nil {
			return err
		}
		return s.carryHold(ctx, d, inc, made)
	})
	return made, err
}

// joinRecent has a report join the newest open incident of one of its endpoints that was
// opened within [incident.JoinWithin]; found is false when there is none.
func (s *Acts) joinRecent(ctx context.Context, d *deed, n NewIncident) (inc incident.Incident, found bool, err error) {
	for _, id := range n.EndpointIDs {
		i, err := incident.NewestOpen(ctx, d.tx, id, d.now.Add(-incident.JoinWithin))
		if errors.Is(err, incident.ErrNotFound) {
			continue
		}
		if err != nil {
			return inc, false, err
		}
		if !found || i.OpenedAt.After(inc.OpenedAt) {
			inc, found = i, true
		}
	}
	if !found {
		return inc, false, nil
	}
	facts := map[string]string{"endpoint": n.EndpointIDs[0], "reporter": n.Reporter, "reported_at": sqldb.FormatTime(n.DiscoveredAt)}
	if facts["reporter"] == "" {
		facts["reporter"] = d.actor.Name
	}
	n.Heard.add(facts)
	with := map[string]string{"incident": inc.ID, "message": n.Title}
	for k, v := range facts {
		with[k] = v
	}
	idx, err := d.record(ctx, incident.ActAlert, inc.ID, with)
	if err != nil {
		return inc, true, err
	}
	if err := s.line(ctx, d, inc, n.EndpointIDs[0], incident.Entry{Kind: incident.EntryAlert, Text: n.Title, Params: facts, LedgerIdx: idx}); err != nil {
		return inc, true, err
	}
	for _, id := range n.EndpointIDs {
		e, err := endpoint.ByID(ctx, d.tx, id)
		if err != nil {
			return inc, true, err
		}
		if err := s.join(ctx, d, inc, e); err != nil {
			return inc, true, err
		}
	}
	inc, err = incident.Find(ctx, d.tx, inc.OrganisationID, inc.ID)
	return inc, true, err
}
