package act_test

import (
	"slices"
	"testing"

	"hozen/collector/internal/act"
)

// TestACollectorPutBackToAnOlderStateIsObeyed: the agent has accepted commands of which
// this collector knows nothing any more.
func TestACollectorPutBackToAnOlderStateIsObeyed(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.enrolled("pc")
		early, err := x.Isolate(ctx, x.owner, p.id, act.Order{Reason: "while it was away"})
		if err != nil || early.Counter != 1 {
			t.Fatal(early, err)
		}
		d := described()
		d.CommandCounter = 9
		for range 2 { // the second time it is not behind
			if err := x.EndpointConnected(ctx, p.id, d, "192.0.2.7"); err != nil {
				t.Fatal(err)
			}
		}
		later, err := x.Acquire(ctx, x.owner, p.id, act.Order{Reason: "after it came"})
		if err != nil {
			t.Fatal(err)
		}
		open, err := x.Outstanding(ctx, p.id)
		if err != nil || len(open) != 2 || open[0].ID != early.ID || open[0].Counter != 10 || open[1].ID != later.ID || open[1].Counter != 11 {
			t.Errorf("%+v, %v", open, err)
		}
		count := func(subject, name string) int {
			return len(slices.DeleteFunc(x.acts(subject), func(a string) bool { return a != name }))
		}
		if count(p.id, "dispatch.count_on") != 1 || count(early.ID, "dispatch.renumber") != 1 || count(later.ID, "dispatch.renumber") != 0 {
			t.Errorf("the ledger has %q", x.acts(""))
		}
		x.ledgerStands()
	})
}
