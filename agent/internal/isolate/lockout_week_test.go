package isolate_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// A week without the collector opens nothing: not the lease that lapses after an hour, no restart of
// the agent or of the PC, no clock that is set. The code works all the while; and when the collector
// is back it is reached, gives another order and releases.
func TestAWeekWithoutTheCollector(t *testing.T) {
	const days = 7
	for _, coded := range []int{0, 1, 4, days} { // on which day somebody gives the code; 0: nobody does
		t.Run(fmt.Sprint("code on day ", coded), func(t *testing.T) {
			l := &life{at: isolatetest.PolicyA().Collectors[0]}
			synctest.Test(t, func(*testing.T) { l.week(days, coded) })
			if l.err != nil {
				t.Fatal(l.err)
			}
		})
	}
}

func (l *life) week(days, coded int) {
	ctx := context.Background()
	defer time.Sleep(time.Minute) // what is tried beside all that ends
	l.store.Next = func() isolatetest.Fault { return l.disk }
	l.ordered, l.was, l.booted = map[string]time.Time{}, map[string]bool{}, time.Now()
	l.start()
	l.step(ctx, "leased")
	if !l.reached() || l.seen.Observed != isolate.Isolated || l.seen.LeaseLapsed {
		l.fail("in the beginning: %+v", l.seen)
	}
	l.step(ctx, "collector is away")
	for day := 1; day <= days; day++ {
		for hour := range 24 {
			l.step(ctx, "an hour")
			// A trial that ran while the rules were damaged is no longer believed after the next one.
			damaged := hour == 0 && l.seen.Reason == isolate.Leak
			if p, whole := l.fw.InForce(); p == nil || !whole || l.seen.Observed != isolate.Isolated && !damaged {
				l.fail("day %d, hour %d: %+v, in force %v, whole %v", day, hour, l.seen, p, whole)
			}
			if !l.seen.LeaseLapsed && hour > 1 {
				l.fail("day %d, hour %d: nobody is told that the collector was not heard: %+v", day, hour, l.seen)
			}
		}
		l.step(ctx, []string{"crash", "reboot", "clock forward", "clock back", "tamper", "wrong code", "sleep"}[day%7])
		l.step(ctx, "reconcile")
		if day == coded {
			l.step(ctx, "right code")
			if p, _ := l.fw.InForce(); p != nil || l.seen.Observed != isolate.Released {
				l.fail("day %d: the code does not release: %+v, in force %v", day, l.seen, p)
			}
			return
		}
		if l.err != nil {
			return
		}
	}
	l.step(ctx, "collector is away")
	l.step(ctx, "heard")
	l.step(ctx, "reconcile")
	if st := l.seen; !l.reached() || st.Observed != isolate.Isolated || st.LeaseLapsed || st.WayHome == nil || !st.WayHome.OK {
		l.fail("the collector is back: %+v", st)
	}
	l.step(ctx, "isolate")
	if !l.reached() || l.seen.Observed != isolate.Isolated {
		l.fail("ordered anew: %+v", l.seen)
	}
	st, err := l.m.Release(ctx, isolate.Request{CommandID: "cmd_end"})
	l.truth(st, err)
	if p, _ := l.fw.InForce(); err != nil || p != nil || st.Observed != isolate.Released {
		l.fail("released: %+v, %w, in force %v", st, err, p)
	}
}
