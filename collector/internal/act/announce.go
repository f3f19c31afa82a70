package act

import (
	"context"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
)

// announce has people told of something by the channels of the organisation, in the
// transaction of the deed: it is told if and only if it happened. An event says nothing that
// a person or a PC wrote; see [notify.Event].
func (s *Acts) announce(ctx context.Context, d *deed, e notify.Event) error {
	if e.OrganisationID == "" {
		e.OrganisationID = d.actor.OrganisationID
	}
	if e.At.IsZero() {
		e.At = d.now
	}
	people, err := operator.Addresses(ctx, d.tx, e.OrganisationID)
	if err != nil {
		return err
	}
	n, err := notify.Put(ctx, d.tx, e, people)
	if n > 0 && s.sender != nil {
		d.after = append(d.after, s.sender.Poke)
	}
	return err
}

// hourly makes a key of which there is one an hour: what an endpoint tells again and again
// is told to people once in that time.
func hourly(kind notify.Kind, subject string, at time.Time) string {
	return string(kind) + " " + subject + " " + at.UTC().Format("2006-01-02T15")
}

// SendNotices sends what waits until ctx ends. One collector runs it once.
func (s *Acts) SendNotices(ctx context.Context) {
	if s.sender != nil {
		s.sender.Run(ctx)
	}
}

// announceFailure tells that an order to isolate was not carried out: once an hour for each
// incident, however many endpoints it is.
func (s *Acts) announceFailure(ctx context.Context, d *deed, c dispatch.Command, r dispatch.Result) error {
	if c.Verb != dispatch.Isolate || c.Isolation.Drill {
		return nil
	}
	switch r.Status {
	case dispatch.Failed, dispatch.Unsupported, dispatch.Refused, dispatch.Expired:
	default:
		return nil
	}
	e := notify.Event{Kind: notify.IsolationFailed, OrganisationID: c.OrganisationID, Key: hourly(notify.IsolationFailed, c.EndpointID, d.now), Path: "/endpoints/" + c.EndpointID}
	if c.IncidentID != "" {
		inc, err := incident.FindBare(ctx, d.tx, c.OrganisationID, c.IncidentID)
		if err != nil {
			return err
		}
		e.IncidentNumber, e.Path, e.Key = inc.Number, "/incidents/"+inc.ID, hourly(notify.IsolationFailed, inc.ID, d.now)
	}
	return s.announce(ctx, d, e)
}

// announceDrift tells that an isolation is not as it was ordered, or ended without an order:
// once an hour for each incident. In a drill people of one's own are told of what no drill
// brings with it, and everybody of an agent that was removed.
func (s *Acts) announceDrift(ctx context.Context, d *deed, e endpoint.Endpoint, ev endpoint.IsolationEvent, inc incident.Incident) error {
	switch ev.Kind {
	case endpoint.EventDrift, endpoint.EventNotInForce, endpoint.EventLeak, endpoint.EventRecordLost, endpoint.EventReleasedByCode, endpoint.EventReleasedByUninstall, endpoint.EventRolledBack:
	default:
		return nil
	}
	n := notify.Event{Kind: notify.IsolationDrift, OrganisationID: e.OrganisationID, Key: hourly(notify.IsolationDrift, e.ID, d.now), Path: "/endpoints/" + e.ID}
	if inc.Drill {
		switch ev.Kind {
		case endpoint.EventReleasedByUninstall: // no drill does that: the agent is gone, and it is told of the endpoint
			return s.announce(ctx, d, n)
		case endpoint.EventLeak, endpoint.EventRecordLost, endpoint.EventReleasedByCode:
			n.Drill = true
		default: // what a minute of isolation brings with it
			return nil
		}
	}
	if inc.ID != "" {
		n.IncidentNumber, n.Path, n.Key = inc.Number, "/incidents/"+inc.ID, hourly(notify.IsolationDrift, inc.ID, d.now)
	}
	return s.announce(ctx, d, n)
}
