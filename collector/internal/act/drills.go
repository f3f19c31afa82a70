package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/drill"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// ErrInDrill is the [ErrConflict] of what is not done for real in an incident that is a drill.
var ErrInDrill = fmt.Errorf("%w: the incident is a drill; there isolation, release and power are only simulated, or isolation is drilled for a minute", ErrConflict)

// mayInDrill refuses an order that a drill must not give: in one, evidence is taken for real if
// somebody wants it, and a network is cut for a minute at most.
func mayInDrill(inc incident.Incident, c dispatch.Command) error {
	if !inc.Drill || c.Verb == dispatch.Acquire || c.Verb == dispatch.Isolate && c.Isolation.Drill {
		return nil
	}
	return ErrInDrill
}

// notInDrill refuses an order to a group that was chosen by its drill.
func notInDrill(ctx context.Context, q sqldb.Queryer, a Actor, sel Selection, o GroupOrder) error {
	for _, ref := range []string{sel.IncidentID, o.IncidentID} {
		if ref == "" || o.Isolation.Drill && o.Verb == dispatch.Isolate {
			continue
		}
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, ref)
		if err != nil {
			return err
		}
		if inc.Drill {
			return ErrInDrill
		}
	}
	return nil
}

// happenedIn is the incident to which belongs what an endpoint says of its isolation: the drill
// whose order it is about, else the endpoint's newest open one.
func (s *Acts) happenedIn(ctx context.Context, d *deed, endpointID, commandID string) (incident.Incident, error) {
	if commandID != "" {
		c, err := dispatch.ByID(ctx, d.tx, commandID)
		if err != nil && !errors.Is(err, dispatch.ErrNotFound) {
			return incident.Incident{}, err
		}
		if err == nil && c.EndpointID == endpointID && c.Isolation.Drill && c.IncidentID != "" {
			inc, err := incident.FindBare(ctx, d.tx, c.OrganisationID, c.IncidentID)
			if err != nil || inc.Drill {
				return inc, err
			}
		}
	}
	return incident.NewestOpenBare(ctx, d.tx, endpointID, zeroTime)
}

// Drill is a drill with what came of it so far.
type Drill struct {
	Incident incident.Incident
	Steps    []drill.Step
	// Result is what came of it: as it was kept when it was closed, else as it stands now.
	Result drill.Result
	Kept   []drill.Kept        // oldest first
	Real   []incident.Incident // about real signs that were found in it
}

// DrillOf returns a drill. An incident that is none is not found.
func (s *Acts) DrillOf(ctx context.Context, a Actor, incidentID string) (Drill, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (Drill, error) {
		inc, err := incident.Find(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return Drill{}, err
		}
		if !inc.Drill {
			return Drill{}, fmt.Errorf("%w: %s is no drill", ErrNotFound, inc.Number)
		}
		return s.drillNow(ctx, q, inc)
	})
}

func (s *Acts) drillNow(ctx context.Context, q sqldb.Queryer, inc incident.Incident) (Drill, error) {
	d := Drill{Incident: inc}
	facts, err := drillFacts(ctx, q, inc)
	if err != nil {
		return d, err
	}
	d.Steps = facts.Steps
	d.Result = s.guides.Drills.Measure(facts, s.now())
	if d.Kept, err = drill.Results(ctx, q, inc.ID); err != nil {
		return d, err
	}
	if n := len(d.Kept); n > 0 && !inc.ClosedAt.IsZero() {
		d.Result = d.Kept[n-1].Result
	}
	d.Real, err = incident.FoundIn(ctx, q, inc.ID)
	return d, err
}

// drillFacts are what a drill is measured by: its timeline says what was done for real.
func drillFacts(ctx context.Context, q sqldb.Queryer, inc incident.Incident) (drill.Facts, error) {
	f := drill.Facts{Reported: inc.DiscoveredAt, Opened: inc.OpenedAt, EndedAt: inc.ClosedAt, EndpointIDs: inc.EndpointIDs}
	var err error
	if f.Steps, err = drill.Steps(ctx, q, inc.ID); err != nil {
		return f, err
	}
	lines, err := incident.Timeline(ctx, q, inc.ID)
	if err != nil {
		return f, err
	}
	for _, e := range lines {
		p := e.Params
		switch {
		case e.Kind == incident.EntryEvidence && (p["outcome"] == string(artifact.Complete) || p["outcome"] == string(artifact.Partial)):
			f.Real = append(f.Real, drill.Done{EndpointID: p["endpoint"], What: drill.Acquire, At: e.At})
		case e.Kind == incident.EntryResult && p["command"] == string(dispatch.Isolate) && p["observed"] == string(endpoint.Isolated):
			f.Real = append(f.Real, drill.Done{EndpointID: p["endpoint"], What: drill.Isolate, At: e.At})
		case e.Kind == incident.EntryReport && p["event"] == "issued" && f.DocumentAt.IsZero():
			f.DocumentAt = e.At
		case e.Kind == incident.EntryReport && p["event"] == "sent" && p["document"] == string(report.Owner) && f.ToldAt.IsZero():
			f.ToldAt = e.At
			if at, err := time.Parse(time.RFC3339Nano, p["sent_at"]); err == nil && at.Before(e.At) && at.After(inc.OpenedAt) {
				f.ToldAt = at
			}
		}
	}
	return f, nil
}

// DrillStep is what somebody does in a drill: simulates, or says that the owner was told.
type DrillStep struct {
	What       drill.What
	EndpointID string // empty: all of the drill
	Note       string
}

// StepDrill records something that is only simulated in an open drill, or that its owner was
// told. Nothing is sent to any endpoint.
func (s *Acts) StepDrill(ctx context.Context, a Actor, incidentID string, n DrillStep) error {
	p, act := mayRunIncident, drill.ActSimulate
	switch n.What {
	case drill.Acquire:
		p = mayAcquire
	case drill.Isolate:
		p = mayIsolate
	case drill.Release:
		p = mayRelease
	case drill.ToldOwner:
		act = drill.ActTold
		if n.EndpointID != "" {
			return &Invalid{Field: "endpoint", Code: "conflict", Err: errors.New("the owner is told of the incident, not of an endpoint")}
		}
	default:
		return &Invalid{Field: "what", Code: "unknown", Err: fmt.Errorf("nobody simulates %.20q", n.What)}
	}
	n.Note = strings.TrimSpace(n.Note)
	if err := text("note", n.Note, drill.MaxNote, false); err != nil {
		return err
	}
	return s.write(ctx, a, p, func(ctx context.Context, d *deed) error {
		inc, err := s.openDrill(ctx, d, incidentID)
		if err != nil {
			return err
		}
		if n.EndpointID != "" {
			e, err := d.endpoint(ctx, n.EndpointID)
			if err != nil {
				return err
			}
			if err := s.join(ctx, d, inc, e); err != nil {
				return err
			}
		}
		step := drill.Step{ID: id.New(id.DrillStep), OrganisationID: inc.OrganisationID, IncidentID: inc.ID, EndpointID: n.EndpointID, What: n.What, At: d.now,
			ActorKind: string(d.actor.Kind), ActorID: d.actor.ID, ActorName: d.actor.Name, Note: n.Note}
		facts := map[string]string{"what": string(n.What), "endpoint": n.EndpointID, "number": inc.Number, "simulated": strconv.FormatBool(n.What != drill.ToldOwner)}
		if step.LedgerIdx, err = d.record(ctx, act, inc.ID, with(with(facts, "note", n.Note), drill.StepID, step.ID)); err != nil {
			return err
		}
		if err := drill.InsertStep(ctx, d.tx, step); err != nil {
			return err
		}
		return s.line(ctx, d, inc, n.EndpointID, incident.Entry{Kind: incident.EntryDrill, Text: n.Note, LedgerIdx: step.LedgerIdx,
			Params: map[string]string{"event": string(n.What), "endpoint": n.EndpointID}})
	})
}

// openDrill finds a drill that is open.
func (s *Acts) openDrill(ctx context.Context, d *deed, ref string) (incident.Incident, error) {
	inc, err := s.incidentOpen(ctx, d, ref)
	if err == nil && !inc.Drill {
		err = fmt.Errorf("%w: %s is no drill", ErrConflict, inc.Number)
	}
	return inc, err
}

// RealSign is what somebody found in a drill that is not part of it.
type RealSign struct {
	Seen           string // what, in words
	Classification incident.Classification
	EndpointIDs    []string
}

// NotADrill opens a real incident about a sign that was found in a drill, open or closed, and
// ties the two together. The drill stays one.
func (s *Acts) NotADrill(ctx context.Context, a Actor, drillID string, n RealSign) (inc incident.Incident, err error) {
	n.Seen = strings.TrimSpace(n.Seen)
	if err := text("seen", n.Seen, incident.MaxText, true); err != nil {
		return inc, err
	}
	if n.Classification == "" {
		n.Classification = incident.NotYet
	}
	if !n.Classification.Valid() {
		return inc, &Invalid{Field: "classification", Code: "unknown", Err: fmt.Errorf("there is no classification %.40q", n.Classification)}
	}
	if len(n.EndpointIDs) > maxEndpoints {
		return inc, &Invalid{Field: "endpoint_ids", Code: "range", Err: fmt.Errorf("at most %d endpoints", maxEndpoints)}
	}
	err = s.write(ctx, a, mayRunIncident, func(ctx context.Context, d *deed) error {
		from, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, drillID)
		if err != nil {
			return err
		}
		if !from.Drill {
			return fmt.Errorf("%w: %s is no drill", ErrConflict, from.Number)
		}
		for _, e := range n.EndpointIDs {
			if _, err := d.endpoint(ctx, e); err != nil {
				return err
			}
		}
		if inc, err = s.open(ctx, d, NewIncident{Title: titleOf(n.Seen, from.Number), Classification: n.Classification, EndpointIDs: n.EndpointIDs, foundIn: from.ID}); err != nil {
			return err
		}
		idx, err := d.record(ctx, "drill.real", from.ID, map[string]string{"number": from.Number, "incident": inc.ID, "incident_number": inc.Number, "seen": n.Seen})
		if err != nil {
			return err
		}
		if err := s.line(ctx, d, from, "", incident.Entry{Kind: incident.EntryDrill, Text: n.Seen, LedgerIdx: idx, Params: map[string]string{"event": "real", "number": inc.Number, "incident": inc.ID}}); err != nil {
			return err
		}
		if err := s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryDrill, Text: n.Seen, LedgerIdx: idx, Params: map[string]string{"event": "found_in", "number": from.Number, "incident": from.ID}}); err != nil {
			return err
		}
		return s.announce(ctx, d, notify.Event{Kind: notify.IncidentOpened, Key: "opened " + inc.ID, IncidentNumber: inc.Number, Path: "/incidents/" + inc.ID})
	})
	return inc, err
}

// keepResult freezes what came of a drill that is closed now.
func (s *Acts) keepResult(ctx context.Context, d *deed, inc incident.Incident) error {
	inc.ClosedAt = d.now
	facts, err := drillFacts(ctx, d.tx, inc)
	if err != nil {
		return err
	}
	before, err := drill.Results(ctx, d.tx, inc.ID)
	if err != nil {
		return err
	}
	k := drill.Kept{IncidentID: inc.ID, Version: int64(len(before)) + 1, At: d.now, ActorName: d.actor.Name, Result: s.guides.Drills.Measure(facts, d.now)}
	b, err := k.Result.Encode()
	if err != nil {
		return err
	}
	said := map[string]string{"number": inc.Number, "version": strconv.FormatInt(k.Version, 10), "sha256": digest.Of(b).String(), "simulated": strconv.Itoa(k.Result.Simulated)}
	for _, l := range k.Result.Laps {
		said["lap."+string(l.Moment)] = fmt.Sprintf("%s after %ds, target %ds", l.State, int64(l.Took.Seconds()), int64(l.Limit().Seconds()))
	}
	if k.LedgerIdx, err = d.record(ctx, drill.ActResult, inc.ID, said); err != nil {
		return err
	}
	if err := drill.InsertResult(ctx, d.tx, inc.OrganisationID, k); err != nil {
		return err
	}
	return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryDrill, LedgerIdx: k.LedgerIdx,
		Params: map[string]string{"event": "result", "n": strconv.Itoa(k.Result.InTime()), "of": strconv.Itoa(len(k.Result.Laps))}})
}

// Marked is the drill to which something belongs.
type Marked struct{ IncidentID, Number string }

// DrillMark returns the drill that an incident is, or to which evidence belongs; not found where
// it is real.
func (s *Acts) DrillMark(ctx context.Context, a Actor, ref string) (Marked, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (Marked, error) {
		if id.Check(id.Evidence, ref) == nil {
			it, err := s.evidence.Item(ctx, a.OrganisationID, ref)
			if err != nil {
				return Marked{}, err
			}
			ref = it.IncidentID
		}
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, ref)
		if err == nil && !inc.Drill {
			err = incident.ErrNotFound
		}
		return Marked{inc.ID, inc.Number}, err
	})
}

// earnest leaves the drills out.
func earnest(all []incident.Incident) []incident.Incident {
	return slices.DeleteFunc(slices.Clone(all), func(i incident.Incident) bool { return i.Drill })
}
