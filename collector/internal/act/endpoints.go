package act

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/sqldb"
)

// Endpoints lists the inventory in the order of enrolment, revoked ones too, each
// with its isolation as far as it is known now.
func (s *Acts) Endpoints(ctx context.Context, a Actor) ([]endpoint.Endpoint, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]endpoint.Endpoint, error) {
		list, err := endpoint.List(ctx, q, a.OrganisationID)
		for i := range list {
			list[i] = s.asOfNow(list[i])
		}
		return list, err
	})
}

// Endpoint finds one endpoint, see [Acts.Endpoints].
func (s *Acts) Endpoint(ctx context.Context, a Actor, id string) (endpoint.Endpoint, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (endpoint.Endpoint, error) {
		e, err := endpoint.ByID(ctx, q, id)
		if err == nil {
			err = a.own(e.OrganisationID)
		}
		if err != nil {
			return endpoint.Endpoint{}, err
		}
		return s.asOfNow(e), nil
	})
}

func (s *Acts) asOfNow(e endpoint.Endpoint) endpoint.Endpoint {
	e = s.inbound.over(s.presence.over(e))
	e.Online = e.RevokedAt.IsZero() && s.hub.Online(e.ID)
	return e.AsOf(s.now())
}

// LabelEndpoint gives an endpoint the name that people use; an empty one takes it away.
func (s *Acts) LabelEndpoint(ctx context.Context, a Actor, id, label string) error {
	if err := text("label", label, endpoint.MaxLabel, false); err != nil {
		return err
	}
	return s.write(ctx, a, mayRunIncident, func(ctx context.Context, d *deed) error {
		e, err := d.endpoint(ctx, id)
		if err != nil || e.Label == label {
			return err
		}
		if err := endpoint.SetLabel(ctx, d.tx, id, label); err != nil {
			return err
		}
		d.tell(s, Event{Kind: EventEndpoint, EndpointID: id})
		_, err = d.record(ctx, endpoint.ActLabel, id, map[string]string{"from": e.Label, "to": label})
		return err
	})
}

// RevokeEndpoint bars an endpoint for ever and cuts its live streams at once. Its
// evidence stays; what it was ordered and has not begun expires.
func (s *Acts) RevokeEndpoint(ctx context.Context, a Actor, id, reason string) error {
	if err := text("reason", reason, dispatch.MaxReason, false); err != nil {
		return err
	}
	return s.write(ctx, a, mayRevoke, func(ctx context.Context, d *deed) error {
		e, err := d.endpoint(ctx, id)
		if err != nil {
			return err
		}
		// Also when it is revoked already: the first cut may have met a stream that was
		// just being opened.
		d.after = append(d.after, func() { s.hub.revoke(id) })
		if !e.RevokedAt.IsZero() {
			return nil
		}
		if err := endpoint.Revoke(ctx, d.tx, id, d.now); err != nil {
			return err
		}
		if err := enroll.RevokeCertificates(ctx, d.tx, id, d.now); err != nil {
			return err
		}
		if err := s.expire(ctx, d, id, "the endpoint was revoked"); err != nil {
			return err
		}
		d.tell(s, Event{Kind: EventEndpoint, EndpointID: id})
		idx, err := d.record(ctx, endpoint.ActRevoke, id, map[string]string{"reason": reason, "hostname": e.Hostname})
		if err != nil {
			return err
		}
		inc, err := incident.NewestOpenBare(ctx, d.tx, id, time.Time{})
		if errors.Is(err, incident.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return s.line(ctx, d, inc, id, incident.Entry{Kind: incident.EntryCommand, Text: reason, LedgerIdx: idx, Params: map[string]string{"command": "revoke_endpoint", "endpoint": id}})
	})
}

// expire ends the commands of an endpoint that will never be carried out.
func (s *Acts) expire(ctx context.Context, d *deed, endpointID, why string) error {
	open, err := dispatch.Outstanding(ctx, d.tx, endpointID)
	if err != nil {
		return err
	}
	for _, c := range open {
		if err := dispatch.Finish(ctx, d.tx, dispatch.Result{CommandID: c.ID, Status: dispatch.Expired, Detail: why}, c.AcceptedAt, d.now); err != nil {
			return err
		}
		idx, err := d.record(ctx, dispatch.ActExpire, c.ID, map[string]string{"endpoint": endpointID, "verb": string(c.Verb), "detail": why})
		if err != nil {
			return err
		}
		if err := s.resultLine(ctx, d, c, incident.Entry{Kind: incident.EntryResult, LedgerIdx: idx, Params: map[string]string{"command": string(c.Verb), "command_id": c.ID,
			"endpoint": endpointID, "status": string(dispatch.Expired), "then": string(c.Then), "detail": why}}); err != nil {
			return err
		}
		d.tell(s, Event{Kind: EventCommand, EndpointID: endpointID, IncidentID: c.IncidentID})
	}
	return nil
}

// endpoint finds an endpoint of the actor's organisation.
func (d *deed) endpoint(ctx context.Context, id string) (endpoint.Endpoint, error) {
	e, err := endpoint.ByID(ctx, d.tx, id)
	if err != nil {
		return endpoint.Endpoint{}, err
	}
	return e, d.actor.own(e.OrganisationID)
}

// agent begins a deed of an endpoint itself: the actor of d becomes the endpoint. A
// revoked one may do nothing.
func (d *deed) agent(ctx context.Context, endpointID string) (endpoint.Endpoint, error) {
	e, err := endpoint.ByID(ctx, d.tx, endpointID)
	if err != nil {
		return endpoint.Endpoint{}, err
	}
	return e, d.as(e)
}

// as is [deed.agent] of one that was read already.
func (d *deed) as(e endpoint.Endpoint) error {
	if !e.RevokedAt.IsZero() {
		return fmt.Errorf("%w: the endpoint was revoked", ErrForbidden)
	}
	d.actor = Actor{Kind: ByEndpoint, ID: e.ID, Name: display(e), OrganisationID: e.OrganisationID}
	return nil
}

// display is what people call an endpoint.
func display(e endpoint.Endpoint) string {
	switch {
	case e.Label != "":
		return e.Label
	case e.Hostname != "":
		return e.Hostname
	}
	return e.ID
}

// EndpointConnected stores what an endpoint says of itself when its control stream
// begins. [ErrForbidden] means that it was revoked meanwhile.
func (s *Acts) EndpointConnected(ctx context.Context, endpointID string, desc endpoint.Description, remote string) error {
	desc.AgentTime, desc.Isolation.MeasuredAt = sane(desc.AgentTime), sane(desc.Isolation.MeasuredAt)
	told, heard := desc.AgentTime, s.now()
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		e, err := d.agent(ctx, endpointID)
		if err != nil {
			return err
		}
		if !told.IsZero() {
			desc.AgentTime = told.Add(d.now.Sub(heard)) // waiting for other acts is not its clock's fault
		}
		if err := endpoint.Describe(ctx, d.tx, endpointID, desc, remote, d.now); err != nil {
			return err
		}
		if !desc.AgentTime.IsZero() {
			d.after = append(d.after, func() { s.presence.ticked(endpointID, desc.AgentTime.Sub(d.now)) })
		}
		if err := d.countOn(ctx, s, e, desc.CommandCounter); err != nil {
			return err
		}
		changed := map[string]string{}
		for _, f := range []struct{ name, from, to string }{
			{"hostname", e.Hostname, desc.Hostname}, {"os", e.OS, desc.OS}, {"arch", e.Arch, desc.Arch}, {"platform", e.Platform, desc.Platform},
			{"agent_version", e.AgentVersion, desc.AgentVersion}, {"boot_id", e.BootID, desc.BootID},
			{"capability", strconv.FormatUint(uint64(e.Capability), 10), strconv.FormatUint(uint64(desc.Capability), 10)},
		} {
			if f.from != sqldb.CleanText(f.to) {
				changed[f.name] = f.to
				if f.to == "" {
					changed[endpoint.Emptied] = strings.TrimSpace(changed[endpoint.Emptied] + " " + f.name)
				}
			}
		}
		if len(changed) > 0 {
			// A host that changes its name or has booted is a fact of the case.
			if _, err := d.record(ctx, endpoint.ActDescribe, endpointID, changed); err != nil {
				return err
			}
		}
		return errors.Join(s.heldEvents(ctx, d, e), s.measured(ctx, d, e, desc.Isolation))
	})
}

// EndpointSeen stores a heartbeat.
func (s *Acts) EndpointSeen(ctx context.Context, endpointID string, i endpoint.IsolationStatus) error {
	now := s.now()
	i.MeasuredAt = sane(i.MeasuredAt)
	if wasMeasured(i) {
		i.ReceivedAt = now
	}
	if !s.presence.note(endpointID, now, i) {
		return nil
	}
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		e, err := d.agent(ctx, endpointID)
		if err != nil {
			return err
		}
		return errors.Join(s.heldEvents(ctx, d, e), s.measured(ctx, d, e, i))
	})
}

// EndpointDisconnected stores that an endpoint's control stream has ended.
func (s *Acts) EndpointDisconnected(ctx context.Context, endpointID string) error {
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		e, err := endpoint.ByID(ctx, d.tx, endpointID) // revoked ones leave too
		if err != nil {
			return err
		}
		if err := endpoint.Seen(ctx, d.tx, endpointID, d.now); err != nil {
			return err
		}
		d.actor.OrganisationID = e.OrganisationID
		d.tell(s, Event{Kind: EventEndpoint, EndpointID: endpointID})
		return nil
	})
}

// EndpointIsolation stores a measurement that the agent made unasked.
func (s *Acts) EndpointIsolation(ctx context.Context, endpointID string, i endpoint.IsolationStatus) error {
	i.MeasuredAt = sane(i.MeasuredAt)
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		e, err := d.agent(ctx, endpointID)
		if err != nil {
			return err
		}
		return s.measured(ctx, d, e, i)
	})
}

// measuredThen is [Acts.measured] for a measurement that may have waited at the endpoint,
// as that of a result or an event does while there is no connection: what was measured
// after it stands. Of that the database may not know yet.
func (s *Acts) measuredThen(ctx context.Context, d *deed, e endpoint.Endpoint, i endpoint.IsolationStatus) error {
	i.MeasuredAt = sane(i.MeasuredAt)
	if !i.MeasuredAt.After(s.presence.over(e).Isolation.MeasuredAt) {
		i = endpoint.IsolationStatus{}
	}
	return s.measured(ctx, d, e, i)
}

// measured stores that an endpoint was seen, and its isolation when there is one; a
// change goes into the ledger and into the timeline of its open incident.
func (s *Acts) measured(ctx context.Context, d *deed, e endpoint.Endpoint, i endpoint.IsolationStatus) error {
	id, at := e.ID, d.now
	d.tell(s, Event{Kind: EventEndpoint, EndpointID: id})
	if !wasMeasured(i) {
		if err := endpoint.Seen(ctx, d.tx, id, at); err != nil {
			return err
		}
		d.after = append(d.after, func() { s.presence.stored(id, at, endpoint.IsolationStatus{}) })
		return nil
	}
	i.ReceivedAt = at
	d.after = append(d.after, func() {
		s.presence.stored(id, at, i)
		s.inboundDue(id, i)
	})
	if i.Observed == "" {
		i.Observed = endpoint.Unknown
	}
	if i.Desired == "" {
		i.Desired = endpoint.Unknown
	}
	old := e.Isolation
	if err := endpoint.SetIsolation(ctx, d.tx, id, i); err != nil {
		return err
	}
	if old.Desired == endpoint.Isolated && i.Desired == endpoint.Released {
		d.after = append(d.after, func() { s.lost.note(id, at) })
	}
	if err := s.changed(ctx, d, e, i); err != nil {
		return err
	}
	return s.severedLine(ctx, d, e, i)
}

// changed records that the state of an isolation is another than before.
func (s *Acts) changed(ctx context.Context, d *deed, e endpoint.Endpoint, i endpoint.IsolationStatus) error {
	id, at, old := e.ID, d.now, e.Isolation
	first := old.ReceivedAt.IsZero() && (i.Observed == endpoint.Released || i.Observed == endpoint.Unknown)
	same := old.Observed == i.Observed && old.Desired == i.Desired
	held, ok := s.restraint.may(id, changes, at)
	if first || same && held.n == 0 {
		return nil
	}
	from := old.Observed
	switch {
	case !ok && same:
		return nil
	case !ok:
		d.after = append(d.after, func() { s.restraint.holdChange(id, from, at) })
		return nil
	case held.n > 0:
		from = held.from
	}
	d.after = append(d.after, func() { s.restraint.wrote(id, changes, at) })
	facts := map[string]string{
		"endpoint": id, "from": string(from), "to": string(i.Observed), "desired": string(i.Desired),
		"way_home": strconv.FormatBool(i.WayHome), "rules_digest": i.RulesDigest, "command": i.CommandID, "detail": i.Detail,
	}
	held.tell(facts)
	idx, err := d.record(ctx, "endpoint.isolation", id, facts)
	if err != nil {
		return err
	}
	quiet, err := s.expected(ctx, d, id, i)
	if err != nil || quiet {
		return err
	}
	inc, err := s.happenedIn(ctx, d, id, i.CommandID)
	if errors.Is(err, incident.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.line(ctx, d, inc, id, incident.Entry{Kind: incident.EntryIsolation, AgentAt: i.MeasuredAt, Params: facts, LedgerIdx: idx})
}

// expected reports whether a change is a step of a command that still runs: its
// result will tell, and one line in the timeline is enough.
func (s *Acts) expected(ctx context.Context, d *deed, endpointID string, i endpoint.IsolationStatus) (bool, error) {
	if i.Observed == endpoint.Isolating || i.Observed == endpoint.Releasing {
		return true, nil
	}
	if i.CommandID == "" {
		return false, nil
	}
	if c := d.command; c != nil && c.ID == i.CommandID {
		return c.EndpointID == endpointID && !c.Status.Final(), nil
	}
	c, err := dispatch.ByID(ctx, d.tx, i.CommandID)
	if errors.Is(err, dispatch.ErrNotFound) {
		return false, nil
	}
	return c.EndpointID == endpointID && !c.Status.Final(), err
}
