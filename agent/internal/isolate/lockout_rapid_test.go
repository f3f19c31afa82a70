package isolate_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// Nobody is locked out, and nothing is shown that is not: after any sequence of orders,
// crashes, restarts of the machine, moves of the collector, tampering, and clocks that
// were set, a confirmed order is in force with the collector in reach of it at the time,
// an unconfirmed one went where it was told to, and who may release can.
func TestNobodyIsLockedOut(t *testing.T) {
	steps := rapid.SliceOfN(rapid.SampledFrom([]string{
		"isolate", "isolate or roll back", "isolate or stay", "follow the collector", "collector moves",
		"collector is away", "release", "reconcile", "crash", "reboot", "tamper", "a moment", "long", "disk fails", "disk works",
	}), 1, 20)
	rapid.Check(t, func(rt *rapid.T) {
		s := &life{at: isolatetest.PolicyA().Collectors[0]}
		todo := steps.Draw(rt, "steps")
		synctest.Test(t, func(*testing.T) { s.run(todo) })
		if s.err != nil {
			rt.Fatal(s.err)
		}
	})
}

const confirmWithin = 30 * time.Second

// life is one endpoint and where its collector is.
type life struct {
	at   netip.AddrPort // where the collector is
	away bool
	n    int // orders so far

	fw    isolatetest.Firewall
	store isolatetest.Store
	clock isolatetest.Clock
	m     *isolate.Manager
	err   error
}

func (l *life) fail(format string, a ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, a...)
	}
}

// reached reports whether the fake kernel lets the agent through to the collector.
func (l *life) reached() bool {
	p, _ := l.fw.InForce()
	return !l.away && (p == nil || slices.Contains(p.Collectors, l.at))
}

func (l *life) start() {
	m, err := isolate.NewManager(isolate.Config{
		Firewall: &l.fw, Store: &l.store, Clock: &l.clock,
		WayHome: func(context.Context) error {
			if !l.reached() {
				return errNoWay
			}
			return nil
		},
	})
	if err != nil {
		l.fail("%w", err)
	}
	l.m = m
}

func (l *life) isolate(p isolate.Policy, otherwise isolate.Fallback) {
	l.n++
	r := isolate.Request{CommandID: fmt.Sprint("cmd_", l.n), Policy: p}
	if otherwise != "" {
		r.Within, r.Else = confirmWithin, otherwise
	}
	l.truth(l.m.Isolate(context.Background(), r))
}

// truth compares what is said with what the fake kernel enforces.
func (l *life) truth(st isolate.Status, err error) {
	p, whole := l.fw.InForce()
	switch {
	case st.Observed == isolate.Isolated && (!whole || !p.Equal(st.Policy)):
		l.fail("called isolated: %+v, in force %v, whole %v", st, p, whole)
	case st.Observed == isolate.Released && p != nil:
		l.fail("called released, in force %v", p)
	case err == nil && st.Observed != st.Desired:
		l.fail("no error, but %s is ordered and %s is observed", st.Desired, st.Observed)
	}
	c := st.Confirm
	if c == nil {
		return
	}
	if !c.Missed.IsZero() && c.Else == isolate.RollBack && c.To == nil && st.Desired == isolate.Isolated {
		l.fail("is closed although it was rolled back: %+v", st)
	}
	if c.Else == isolate.StayClosed && st.Desired != isolate.Isolated {
		l.fail("was to stay closed: %+v", st)
	}
}

func (l *life) run(steps []string) {
	ctx := context.Background()
	disk := isolatetest.None
	l.store.Next = func() isolatetest.Fault { return disk }
	l.start()
	for _, step := range steps {
		switch step {
		case "isolate":
			l.isolate(isolatetest.PolicyA(), "")
		case "isolate or roll back":
			l.isolate(isolatetest.PolicyA(), isolate.RollBack)
		case "isolate or stay":
			l.isolate(isolatetest.PolicyB(), isolate.StayClosed)
		case "follow the collector":
			if l.reached() { // orders come from there
				p := isolatetest.PolicyA()
				p.Collectors = []netip.AddrPort{l.at, isolatetest.PolicyB().Collectors[0]}
				l.isolate(p, isolate.RollBack)
			}
		case "collector moves":
			l.at = isolatetest.PolicyB().Collectors[0]
		case "collector is away":
			l.away = !l.away
		case "release":
			l.truth(l.m.Release(ctx, isolate.Request{CommandID: "cmd_r"}))
		case "reconcile":
			l.truth(l.m.Reconcile(ctx))
		case "crash", "reboot":
			if step == "reboot" {
				l.fw.Reboot()
				l.clock.Reboot()
			}
			l.start()
			l.truth(l.m.Resume(ctx))
		case "tamper":
			l.fw.Damage()
		case "a moment":
			time.Sleep(confirmWithin / 3)
			l.truth(l.m.Reconcile(ctx))
		case "long":
			time.Sleep(24 * time.Hour)
		case "disk fails":
			disk = isolatetest.FailBefore
		case "disk works":
			disk = isolatetest.None
		}
	}
	disk = isolatetest.None
	// The agent looks every few seconds, and after a while everything is settled.
	for range 3 {
		time.Sleep(confirmWithin)
		l.truth(l.m.Reconcile(ctx))
	}
	st := l.m.Status(ctx)
	c := st.Confirm
	if st.Desired == isolate.Isolated && c != nil && c.At.IsZero() && c.Missed.IsZero() {
		l.fail("is neither confirmed nor missed: %+v", st)
	}
	if st.Desired == isolate.Isolated && c != nil && c.Else == isolate.RollBack && c.To == nil && c.At.IsZero() {
		l.fail("nobody reached the collector, and it is not rolled back: %+v", st)
	}
	// Who may release can, at the PC or from the collector.
	st, err := l.m.Release(ctx, isolate.Request{CommandID: "cmd_end"})
	l.truth(st, err)
	if err != nil || st.Observed != isolate.Released {
		l.fail("cannot be released: %+v, %w", st, err)
	}
	// And stays so.
	l.start()
	if st, err := l.m.Resume(ctx); err != nil || st.Observed != isolate.Released {
		l.fail("closed again after release: %+v, %w", st, err)
	}
}
