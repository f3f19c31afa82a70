package act_test

import (
	"context"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
)

// The codes of a group are made while its preview is read, each is handed out once, and
// an order that comes sooner has its codes all the same.
func TestCodesAreMadeAhead(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		pcs := x.office(4)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); x.RunGroups(ctx) }()
		o := act.GroupOrder{Verb: dispatch.Isolate, BreakGlass: "because", Order: act.Order{Reason: "why", IsolateFirst: true}}
		pv, err := x.PreviewGroup(t.Context(), x.owner, act.Selection{All: true}, o)
		if err != nil {
			t.Fatal(err)
		}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(30 * time.Second); x.CodesReady() != len(pcs); <-tick.C {
			if time.Now().After(end) {
				t.Fatalf("%d codes are made", x.CodesReady())
			}
		}
		cancel()
		<-ended
		codes := map[string]bool{}
		for turn := range 2 { // nobody makes any ahead for the second
			o.Confirmed = pv.Fingerprint
			if _, err := x.OrderGroup(t.Context(), x.owner, act.Selection{All: true}, o); err != nil {
				t.Fatal(err)
			}
			if n := x.CodesReady(); n != 0 {
				t.Errorf("%d codes are left", n)
			}
			for _, p := range pcs {
				_, list := x.outstanding(p)
				c := list[turn].Isolation.Code
				if c == nil || codes[c.Number] || len(c.Hash) == 0 {
					t.Fatalf("code %+v", c)
				}
				codes[c.Number] = true
			}
		}
	})
}
