package act_test

import (
	"testing"
	"time"

	"hozen/collector/internal/endpoint"
)

// A PC whose clock is put right after it connected is known by its right clock, and the
// ledger tells of that once.
func TestClockThatIsPutRightIsFollowed(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p := x.enrolled("pc")
		d := described()
		d.AgentTime, d.Isolation = x.clock.Add(9*time.Hour), measured(endpoint.Released, x.clock)
		if err := x.EndpointConnected(t.Context(), p.id, d, "192.0.2.7:1"); err != nil {
			t.Fatal(err)
		}
		offset := func() time.Duration {
			t.Helper()
			e, err := x.Endpoint(t.Context(), x.owner, p.id)
			if err != nil {
				t.Fatal(err)
			}
			return e.ClockOffset
		}
		ticks := func(d time.Duration) {
			t.Helper()
			if err := x.EndpointClock(t.Context(), p.id, d); err != nil {
				t.Fatal(err)
			}
			if got := offset(); got != d {
				t.Errorf("known as %v, is %v", got, d)
			}
		}
		before := len(x.acts(p.id))
		ticks(9 * time.Hour)
		ticks(9*time.Hour + time.Second)
		if n := len(x.acts(p.id)); n != before {
			t.Errorf("%d entries, then %d without a jump", before, n)
		}
		ticks(time.Second)
		if f := x.details(p.id); f["from"] != "9h0m0s" || f["to"] != "1s" {
			t.Errorf("the ledger keeps %q", f)
		}
		if n := len(x.acts(p.id)); n != before+1 {
			t.Errorf("%d entries for one jump", n-before)
		}
		for n := range 100 {
			ticks(time.Duration(n%2) * time.Hour)
		}
		if n := len(x.acts(p.id)) - before; n > 20 {
			t.Errorf("%d entries of a clock that jumps without end", n)
		}
		x.ledgerStands()
	})
}
