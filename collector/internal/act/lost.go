package act

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/internal/id"
)

// lostAfter is how long an endpoint that was isolated and now says that nothing is
// ordered has to tell why: what happened to it meanwhile comes after its first words.
const lostAfter = 20 * time.Second

// lost remembers which endpoints said that, and since when.
type lost struct {
	mu sync.Mutex
	m  map[string]time.Time
}

func (l *lost) note(endpointID string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = map[string]time.Time{}
	}
	l.m[endpointID] = at
}

// due takes out those that had their time.
func (l *lost) due(now time.Time) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for id, at := range l.m {
		if now.Sub(at) >= lostAfter {
			ids = append(ids, id)
			delete(l.m, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// calledOff reports whether somebody took back that the collector isolates an endpoint again:
// that ends the isolation that was lost.
func calledOff(c dispatch.Command) bool {
	return c.Status == dispatch.Withdrawn && c.IssuedBy == string(BySystem)
}

// restoreLost isolates endpoints again that lost their order: somebody with every right
// there can end the agent, delete what it keeps and flush its rules, and it comes back
// knowing nothing. Only the collector can tell that from a release.
func (s *Acts) restoreLost(ctx context.Context) error {
	var wrong []error
	for _, id := range s.lost.due(s.now()) {
		err := s.transact(ctx, func(ctx context.Context, d *deed) error { return s.restore(ctx, d, id) })
		if err != nil {
			s.lost.note(id, s.now()) // tried again
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

func (s *Acts) restore(ctx context.Context, d *deed, endpointID string) error {
	e, err := endpoint.ByID(ctx, d.tx, endpointID)
	if err != nil || !e.RevokedAt.IsZero() || s.presence.over(e).Isolation.Desired != endpoint.Released {
		return err
	}
	c, err := s.unended(ctx, d, e)
	if err != nil || c == nil {
		return err
	}
	d.actor = Actor{Kind: BySystem, OrganisationID: e.OrganisationID}
	ev := endpoint.IsolationEvent{
		ID: id.New(id.IsolationEvent), OrganisationID: e.OrganisationID, EndpointID: e.ID, Kind: endpoint.EventRecordLost, At: d.now, ReceivedAt: d.now,
		CommandID: c.ID, Count: 1, Detail: "The endpoint knows of no isolation, though it had carried the order out and told of no end. The collector orders it again.",
	}
	if _, err := s.eventLine(ctx, d, e, ev, heldBack{}, nil); err != nil {
		return err
	}
	i := c.Isolation
	i.Permits = slices.DeleteFunc(slices.Clone(i.Permits), func(p dispatch.Permit) bool { return !p.ExpiresAt.After(d.now) })
	if i.Code, err = s.newCode(); err != nil {
		return err
	}
	o := Order{Reason: c.Reason, check: func(context.Context, *deed, endpoint.Endpoint) (map[string]string, error) {
		facts := isolationFacts(i)
		maps.Copy(facts, map[string]string{"again": c.ID})
		return facts, nil
	}}
	_, err = s.give(ctx, d, e.ID, dispatch.Command{Verb: dispatch.Isolate, Isolation: i}, o)
	return err
}

// unended is the isolation that the endpoint carried out last and of which nobody ever
// heard an end; nil if there is none, or if another order is on its way.
func (s *Acts) unended(ctx context.Context, d *deed, e endpoint.Endpoint) (*dispatch.Command, error) {
	list, err := dispatch.List(ctx, d.tx, dispatch.Filter{OrganisationID: e.OrganisationID, EndpointID: e.ID, Limit: ordersLooked})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(c dispatch.Command) bool {
		return (c.Verb == dispatch.Isolate || c.Verb == dispatch.Release) && (c.Status == dispatch.Done || !c.Status.Final() || calledOff(c))
	})
	if i < 0 {
		return nil, nil
	}
	c := list[i]
	over := !c.Isolation.Until.IsZero() && c.Isolation.Until.Before(d.now.Add(lostAfter))
	if c.Verb != dispatch.Isolate || c.Status != dispatch.Done || c.Isolation.Drill || over {
		return nil, nil
	}
	events, err := endpoint.IsolationEvents(ctx, d.tx, e.ID, limit(0))
	if err != nil {
		return nil, err
	}
	ended := slices.ContainsFunc(events, func(ev endpoint.IsolationEvent) bool {
		switch ev.Kind {
		case endpoint.EventReleasedByTime, endpoint.EventRolledBack, endpoint.EventReleasedByCode, endpoint.EventReleasedByUninstall:
			return ev.CommandID == c.ID || ev.CommandID == "" && !ev.ReceivedAt.Before(c.FinishedAt)
		}
		return false
	})
	if ended {
		return nil, nil
	}
	return &c, nil
}
