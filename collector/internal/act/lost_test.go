package act_test

import (
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/internal/id"
)

// An endpoint that comes back knowing nothing of its isolation, and does not say why, is
// isolated again; one that was released is not.
func TestLostIsolationIsOrderedAgain(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		for name, c := range map[string]struct {
			lasts time.Duration
			drill bool
			event endpoint.IsolationEventKind
			after func(p pc)
			again bool
		}{
			"lost":        {again: true},
			"by code":     {event: endpoint.EventReleasedByCode},
			"uninstalled": {event: endpoint.EventReleasedByUninstall},
			"its time":    {lasts: 150 * time.Second},
			"drill":       {drill: true},
			"released":    {after: func(p pc) { x.done(p, x.must(x.Release(t.Context(), x.owner, p.id, act.Order{})), endpoint.Released) }},
			"on its way":  {after: func(p pc) { x.must(x.Release(t.Context(), x.owner, p.id, act.Order{})) }},
			"back":        {after: func(p pc) { x.measures(p, endpoint.Isolated) }},
		} {
			p := x.modern(name)
			order := dispatch.Isolation{Drill: c.drill}
			if c.lasts > 0 {
				order.Until = x.clock.Add(c.lasts)
			}
			first := x.must(x.Isolate(t.Context(), x.owner, p.id, act.Order{Reason: "ransomware", Isolation: order}))
			x.done(p, first, endpoint.Isolated)
			x.clock = x.clock.Add(2 * time.Minute)
			x.measures(p, endpoint.Isolated)
			x.clock = x.clock.Add(time.Second)
			x.measures(p, endpoint.Released)
			if c.event != "" {
				ev := endpoint.IsolationEvent{ID: id.New(id.IsolationEvent), Kind: c.event, At: x.clock, CommandID: first.ID, Count: 1}
				if err := x.IsolationHappened(t.Context(), p.id, ev, nil); err != nil {
					t.Fatal(err)
				}
			}
			x.looks()
			if _, list := x.outstanding(p); len(list) > 0 {
				t.Errorf("%s: ordered before it could tell", name)
			}
			if c.after != nil {
				x.clock = x.clock.Add(time.Second)
				c.after(p)
			}
			x.clock = x.clock.Add(21 * time.Second)
			x.looks()
			_, list := x.outstanding(p)
			if got := len(list) > 0 && list[0].Verb == dispatch.Isolate; got != c.again {
				t.Errorf("%s: ordered again is %t", name, got)
				continue
			}
			if !c.again {
				continue
			}
			if list[0].Reason != "ransomware" || list[0].Isolation.Code == nil || list[0].Isolation.Code.Number == first.Isolation.Code.Number {
				t.Errorf("%+v", list[0])
			}
			events, err := x.IsolationEvents(t.Context(), x.owner, p.id, 0)
			if err != nil || len(events) != 1 || events[0].Kind != endpoint.EventRecordLost || events[0].CommandID != first.ID {
				t.Errorf("%+v, %v", events, err)
			}
			x.looks()
			if _, list := x.outstanding(p); len(list) != 1 {
				t.Errorf("%d orders", len(list))
			}
		}
		x.ledgerStands()
	})
}

func (x *fixture) must(c dispatch.Command, err error) dispatch.Command {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
	return c
}

func (x *fixture) done(p pc, c dispatch.Command, s endpoint.State) {
	x.t.Helper()
	i := measured(s, x.clock)
	i.CommandID = c.ID
	if err := x.CommandFinished(x.t.Context(), p.id, dispatch.Result{CommandID: c.ID, Status: dispatch.Done, FinishedAt: x.clock}, &i); err != nil {
		x.t.Fatal(err)
	}
}

func (x *fixture) measures(p pc, s endpoint.State) {
	x.t.Helper()
	if err := x.EndpointIsolation(x.t.Context(), p.id, measured(s, x.clock)); err != nil {
		x.t.Fatal(err)
	}
}
