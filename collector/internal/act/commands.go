package act

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
	"hozen/internal/profile"
)

// ProfileFlash is the acquisition profile where nothing else is said: what is most
// volatile, in seconds.
const ProfileFlash = profile.Flash

// Acquire orders evidence to be taken.
func (s *Acts) Acquire(ctx context.Context, a Actor, endpointID string, o Order) (dispatch.Command, error) {
	if o.Profile == "" {
		o.Profile = ProfileFlash
	}
	if _, _, err := profile.ParseProcess(o.Profile); err == nil {
		o.check = onWindows
	} else if _, err := profile.Find(o.Profile); err != nil {
		return dispatch.Command{}, &Invalid{Field: "profile", Code: "unknown", Err: err}
	}
	return s.order(ctx, a, mayAcquire, endpointID, dispatch.Command{Verb: dispatch.Acquire, Profile: o.Profile}, o)
}

// onWindows refuses to have a process dumped where no agent can.
func onWindows(_ context.Context, _ *deed, e endpoint.Endpoint) (map[string]string, error) {
	if e.OS != "windows" {
		return nil, &Invalid{Field: "profile", Code: "unknown", Err: fmt.Errorf("the memory of one process is taken on Windows alone; this is %.20q", e.OS)}
	}
	return map[string]string{}, nil
}

// order stores a command with its ledger entry and its line in the timeline, and
// only then wakes the endpoint's stream.
func (s *Acts) order(ctx context.Context, a Actor, p permission, endpointID string, c dispatch.Command, o Order) (dispatch.Command, error) {
	if err := text("reason", o.Reason, dispatch.MaxReason, false); err != nil {
		return dispatch.Command{}, err
	}
	var stored dispatch.Command
	err := s.write(ctx, a, p, func(ctx context.Context, d *deed) error {
		var err error
		stored, err = s.give(ctx, d, endpointID, c, o)
		return err
	})
	if err != nil {
		return dispatch.Command{}, err
	}
	return stored, nil
}

// give is [Acts.order] within a deed.
func (s *Acts) give(ctx context.Context, d *deed, endpointID string, c dispatch.Command, o Order) (dispatch.Command, error) {
	none := dispatch.Command{}
	var e endpoint.Endpoint
	var err error
	if o.many != nil {
		if e, err = o.many.endpoint(endpointID); err == nil {
			err = d.actor.own(e.OrganisationID)
		}
	} else {
		e, err = d.endpoint(ctx, endpointID)
	}
	if err != nil {
		return none, err
	}
	if !e.RevokedAt.IsZero() {
		return none, fmt.Errorf("%w: the endpoint was revoked", ErrConflict)
	}
	if e.Origin == endpoint.ByKit {
		return none, fmt.Errorf("%w: the endpoint has no agent; it is known by a USB kit alone", ErrConflict)
	}
	more := map[string]string{}
	if o.check != nil {
		if more, err = o.check(ctx, d, e); err != nil {
			return none, err
		}
	}
	var inc incident.Incident
	if o.many != nil {
		c.Counter = o.many.counters[e.ID]
	}
	if o.many != nil && o.many.incident != nil {
		if inc = *o.many.incident; !o.many.joined[e.ID] {
			err = s.join(ctx, d, inc, e)
		}
	} else {
		inc, err = s.incidentFor(ctx, d, e, o.IncidentID, c.Isolation.Drill)
	}
	if err == nil {
		err = mayInDrill(inc, c)
	}
	if err != nil {
		return none, err
	}
	c.ID, c.OrganisationID, c.EndpointID, c.IncidentID = cmp.Or(c.ID, id.New(id.Command)), e.OrganisationID, e.ID, inc.ID
	c.Issuer, c.IssuedBy, c.Reason, c.IssuedAt = d.actor.Name, d.actor.ID, o.Reason, d.now
	if c.IssuedBy == "" {
		c.IssuedBy = string(d.actor.Kind)
	}
	stored, err := dispatch.Insert(ctx, d.tx, c)
	if err != nil {
		return none, err
	}
	facts := map[string]string{"command": string(c.Verb), "command_id": c.ID, "endpoint": e.ID, "profile": c.Profile}
	if c.IsolateFirst {
		facts["isolate_first"] = "true"
	}
	maps.Copy(facts, more)
	if inc.Drill {
		facts["drill"] = "true"
	}
	order, err := c.Short()
	if err != nil {
		return none, err
	}
	with := map[string]string{"incident": inc.ID, "reason": c.Reason, "counter": strconv.FormatUint(stored.Counter, 10), dispatch.OrderSHA256: order}
	for k, v := range facts {
		with[k] = v
	}
	idx, err := d.record(ctx, c.Verb.Act(), c.ID, with)
	if err != nil {
		return none, err
	}
	d.tell(s, Event{Kind: EventCommand, EndpointID: e.ID, IncidentID: inc.ID})
	d.after = append(d.after, func() { s.log.DebugContext(ctx, "command stored", slog.String("command", c.ID)) })
	d.wake(e.ID)
	return stored, s.line(ctx, d, inc, e.ID, incident.Entry{Kind: incident.EntryCommand, Text: c.Reason, Params: facts, LedgerIdx: idx})
}

// incidentFor finds the incident that an order belongs to: the one that is named,
// else the endpoint's newest open one, else a new one: of a drill a drill.
func (s *Acts) incidentFor(ctx context.Context, d *deed, e endpoint.Endpoint, named string, drill bool) (incident.Incident, error) {
	if named != "" {
		inc, err := s.incidentOpen(ctx, d, named)
		if err != nil {
			return incident.Incident{}, err
		}
		return inc, s.join(ctx, d, inc, e)
	}
	inc, err := incident.NewestOpenBare(ctx, d.tx, e.ID, zeroTime)
	if errors.Is(err, incident.ErrNotFound) {
		return s.open(ctx, d, NewIncident{Title: display(e), Classification: incident.NotYet, EndpointIDs: []string{e.ID}, Drill: drill})
	}
	return inc, err
}

// incidentOpen finds an open incident, without its endpoints.
func (s *Acts) incidentOpen(ctx context.Context, d *deed, named string) (incident.Incident, error) {
	inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, named)
	if err != nil {
		return incident.Incident{}, err
	}
	if !inc.ClosedAt.IsZero() {
		return incident.Incident{}, fmt.Errorf("%w: %s is closed", ErrConflict, inc.Number)
	}
	return inc, nil
}

// Commands lists commands, newest first.
func (s *Acts) Commands(ctx context.Context, a Actor, f CommandFilter) ([]dispatch.Command, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]dispatch.Command, error) {
		if f.IncidentID != "" {
			inc, err := incident.Find(ctx, q, a.OrganisationID, f.IncidentID)
			if err != nil {
				return nil, err
			}
			f.IncidentID = inc.ID
		}
		list, err := dispatch.List(ctx, q, dispatch.Filter{OrganisationID: a.OrganisationID, EndpointID: f.EndpointID, IncidentID: f.IncidentID, Limit: limit(f.Limit)})
		for i := range list {
			list[i] = s.dueOver(list[i])
		}
		return list, err
	})
}

// notInTime is the detail of a command that expired before its endpoint confirmed it.
const notInTime = "not confirmed by the endpoint in time"

// dueOver shows a command whose time is over as ended: it is never sent any more. Its
// end is recorded when the endpoint next connects.
func (s *Acts) dueOver(c dispatch.Command) dispatch.Command {
	if c.Due(s.now()) {
		c.Status, c.Detail = dispatch.Expired, notInTime
	}
	return c
}

// limit is how many rows a list has.
func limit(n int) int {
	switch {
	case n <= 0:
		return 100
	case n > 1000:
		return 1000
	}
	return n
}

// Command finds one command.
func (s *Acts) Command(ctx context.Context, a Actor, id string) (dispatch.Command, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (dispatch.Command, error) {
		c, err := dispatch.ByID(ctx, q, id)
		if err != nil {
			return dispatch.Command{}, err
		}
		return s.dueOver(c), a.own(c.OrganisationID)
	})
}

// Running returns how far the acquisition of a command has come that goes on just now; nil
// when none is known to.
func (s *Acts) Running(ctx context.Context, a Actor, commandID string) (*Progress, error) {
	c, err := s.Command(ctx, a, commandID)
	if err != nil {
		return nil, err
	}
	if p, ok := s.hub.Running(c.EndpointID, c.ID); ok {
		return &p, nil
	}
	return nil, nil
}

// Outstanding returns what an endpoint has to do and has not reported the end of, in
// the order of the counter. What expired before it was confirmed is ended here.
func (s *Acts) Outstanding(ctx context.Context, endpointID string) ([]dispatch.Command, error) {
	list, err := s.asking.outstanding.ask(ctx, s.db.Read(), dispatch.OutstandingOf, endpointID)
	if err != nil {
		return nil, err
	}
	now := s.now()
	if !slices.ContainsFunc(list, func(c dispatch.Command) bool { return c.Due(now) }) {
		return list, nil // an order waits for this: one question, not two
	}
	if err := s.transact(ctx, func(ctx context.Context, d *deed) error { return s.expireDue(ctx, d, endpointID) }); err != nil {
		return nil, err
	}
	return dispatch.Outstanding(ctx, s.db.Read(), endpointID)
}

func (s *Acts) expireDue(ctx context.Context, d *deed, endpointID string) error {
	due, err := dispatch.Due(ctx, d.tx, endpointID, d.now)
	if err != nil {
		return err
	}
	for _, c := range due {
		d.actor = Actor{Kind: BySystem, OrganisationID: c.OrganisationID}
		r := dispatch.Result{CommandID: c.ID, Status: dispatch.Expired, Detail: notInTime}
		if err := s.finish(ctx, d, c, r, nil); err != nil {
			return err
		}
	}
	return nil
}

// finish stores a result with its ledger entry and its line in the timeline.
func (s *Acts) finish(ctx context.Context, d *deed, c dispatch.Command, r dispatch.Result, i *endpoint.IsolationStatus) error {
	return s.ended(ctx, d, dispatch.ActFinish, c, r, i, nil)
}

// ended is finish under another name of the act, and with more to record.
func (s *Acts) ended(ctx context.Context, d *deed, act string, c dispatch.Command, r dispatch.Result, i *endpoint.IsolationStatus, more map[string]string) error {
	if err := dispatch.Finish(ctx, d.tx, r, c.AcceptedAt, d.now); err != nil {
		return err
	}
	return s.endLine(ctx, d, act, c, r, i, more)
}

// endLine records the end of a command that is stored already.
func (s *Acts) endLine(ctx context.Context, d *deed, act string, c dispatch.Command, r dispatch.Result, i *endpoint.IsolationStatus, more map[string]string) error {
	facts := map[string]string{"command": string(c.Verb), "command_id": c.ID, "endpoint": c.EndpointID, "status": string(r.Status),
		"acquisition": r.AcquisitionID, "detail": r.Detail, "then": string(c.Then)}
	if i != nil {
		facts["observed"], facts["way_home"] = string(i.Observed), strconv.FormatBool(i.WayHome)
	}
	maps.Copy(facts, more)
	idx, err := d.record(ctx, act, c.ID, with(facts, dispatch.FinishedAt, ledger.OrNone(sqldb.FormatTime(r.FinishedAt))))
	if err != nil {
		return err
	}
	d.tell(s, Event{Kind: EventCommand, EndpointID: c.EndpointID, IncidentID: c.IncidentID})
	if err := s.announceFailure(ctx, d, c, r); err != nil {
		return err
	}
	return s.resultLine(ctx, d, c, incident.Entry{Kind: incident.EntryResult, AgentAt: r.FinishedAt, Params: facts, LedgerIdx: idx})
}

// resultLine adds an entry on a command to the timeline of its incident, if it has one: where
// its evidence goes too, if that was merged or split since the order.
func (s *Acts) resultLine(ctx context.Context, d *deed, c dispatch.Command, e incident.Entry) error {
	if c.IncidentID == "" {
		return nil
	}
	inc, ok := d.whole[c.IncidentID]
	if !ok {
		var err error
		if inc, err = whereNow(ctx, d.tx, c.OrganisationID, c.IncidentID, c.EndpointID); err != nil {
			return err
		}
		if d.whole != nil && inc.ID == c.IncidentID {
			off, err := incident.SplitInto(ctx, d.tx, inc.ID)
			if err != nil {
				return err
			}
			if len(off) == 0 {
				d.whole[inc.ID] = inc
			}
		}
	}
	return s.line(ctx, d, inc, c.EndpointID, e)
}
