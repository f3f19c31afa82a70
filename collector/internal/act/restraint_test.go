package act_test

import (
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/internal/id"
)

// An endpoint that was taken over says this and that without end. The newest state is
// stored and shown, and the ledger stays short but tells how much there was.
func TestFloodOfChangesIsCounted(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.modern("pc")
		inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{p.id}})
		if err != nil {
			t.Fatal(err)
		}
		before := len(x.acts(p.id))
		last := endpoint.Released
		for range 100 {
			if last == endpoint.Released {
				last = endpoint.Isolated
			} else {
				last = endpoint.Released
			}
			x.clock = x.clock.Add(10 * time.Millisecond)
			if err := x.EndpointSeen(t.Context(), p.id, measured(last, x.clock)); err != nil {
				t.Fatal(err)
			}
			if e, err := x.Endpoint(t.Context(), x.owner, p.id); err != nil || e.Isolation.Observed != last {
				t.Fatalf("shown as %s, is %s: %v", e.Isolation.Observed, last, err)
			}
		}
		if n := len(x.acts(p.id)) - before; n < 10 || n > 20 {
			t.Errorf("100 changes within a second: %d entries", n)
		}
		// Silence, and then an ordinary heartbeat: what was held back is told.
		x.clock = x.clock.Add(6 * time.Minute)
		if err := x.EndpointSeen(t.Context(), p.id, measured(last, x.clock)); err != nil {
			t.Fatal(err)
		}
		f := x.details(p.id)
		if f["to"] != string(last) || f["held_back"] != "80" || f["held_since"] == "" {
			t.Errorf("the ledger ends with %q", f)
		}
		if got := x.kinds(inc.ID); !strings.HasSuffix(got, " isolation") || strings.Count(got, " isolation") > 25 {
			t.Errorf("timeline: %s", got)
		}
		n := len(x.acts(p.id))
		x.clock = x.clock.Add(6 * time.Minute)
		if err := x.EndpointSeen(t.Context(), p.id, measured(last, x.clock)); err != nil {
			t.Fatal(err)
		}
		if now := len(x.acts(p.id)); now != n {
			t.Errorf("told twice: %d entries, then %d", n, now)
		}
		x.ledgerStands()
	})
}

// Events of one kind do not hide another, their numbers are kept, and what they saw
// stands in one place.
func TestFloodOfEventsIsCounted(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.modern("pc")
		happens := func(k endpoint.IsolationEventKind) {
			t.Helper()
			ev := endpoint.IsolationEvent{ID: id.New(id.IsolationEvent), Kind: k, At: x.clock, Count: 2, Differences: []string{strings.Repeat("あ", 100), "second"}}
			if err := x.IsolationHappened(t.Context(), p.id, ev, nil); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 {
			happens(endpoint.EventDrift)
		}
		stored := func() []endpoint.IsolationEvent {
			t.Helper()
			list, err := x.IsolationEvents(t.Context(), x.owner, p.id, 1000)
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		if n := len(stored()); n < 10 || n > 20 {
			t.Errorf("50 events at once: %d stored", n)
		}
		happens(endpoint.EventReleasedByCode)
		if f := x.details(p.id); f["event"] != string(endpoint.EventReleasedByCode) || f["held_back"] != "" {
			t.Errorf("the ledger ends with %q", f)
		}
		x.clock = x.clock.Add(6 * time.Minute)
		if err := x.EndpointSeen(t.Context(), p.id, measured(endpoint.Released, x.clock)); err != nil {
			t.Fatal(err)
		}
		var times uint32
		for _, ev := range stored() {
			if ev.Kind == endpoint.EventDrift {
				times += ev.Count
			}
			if len(ev.Differences) != 2 {
				t.Errorf("an event lost what it saw: %q", ev.Differences)
			}
		}
		if times != 100 {
			t.Errorf("it happened %d times, want 100", times)
		}
		list, err := x.LedgerEntries(t.Context(), x.owner, act.LedgerFilter{Subject: p.id, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		var found bool
		for _, e := range list {
			if strings.Contains(e.Details["differences"], "second") || len(e.Details["differences"]) > 160 {
				t.Errorf("the ledger repeats what the event saw: %q", e.Details)
			}
			if e.Details["held_back"] != "" {
				found = true
				if e.Details["count"] != "60" || e.Details["held_back"] != "29" || len(e.Details["lines_sha256"]) != 64 || e.Details["event_id"] == "" {
					t.Errorf("held back: %q", e.Details)
				}
			}
		}
		if !found {
			t.Error("nothing tells of what was held back")
		}
		x.ledgerStands()
	})
}
