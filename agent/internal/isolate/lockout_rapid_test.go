package isolate_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// Nobody is locked out, and nothing is shown that is not: after any sequence of orders in
// every mode, edits, crashes, restarts of the machine, moves of the collector, tampering,
// codes, leases, and clocks that were set, a confirmed order is in force with the
// collector in reach of it at the time, an unconfirmed one went where it was told to,
// nothing opened but by release, code, time or roll back, and who may release can.
func TestNobodyIsLockedOut(t *testing.T) {
	steps := rapid.SliceOfN(rapid.SampledFrom([]string{
		"isolate", "isolate or roll back", "isolate or stay", "follow the collector", "collector moves",
		"collector is away", "release", "reconcile", "crash", "reboot", "tamper", "a moment", "long", "disk fails", "disk works",
		"selective", "edit", "full with a code", "full until", "until", "until or roll back", "leased", "heard", "say it again",
		"right code", "wrong code", "slip", "an hour", "clock forward", "clock back", "leak", "no leak", "drill",
		"tunnel", "another tunnel", "no tunnel", "sleep",
	}), 6, 30)
	many(t, func(rt *rapid.T) {
		s := &life{at: isolatetest.PolicyA().Collectors[0]}
		todo := steps.Draw(rt, "steps")
		synctest.Test(t, func(*testing.T) { s.run(todo) })
		if s.err != nil {
			rt.Fatal(s.err)
		}
	})
}

const (
	confirmWithin = 30 * time.Second
	givenTime     = 3 * time.Hour
)

// life is one endpoint and where its collector is.
type life struct {
	at    netip.AddrPort // where the collector is
	away  bool
	outer *isolate.Tunnel // what carries the way there; nil: nothing
	leaks atomic.Bool     // traffic passes rules that are whole
	n     int             // orders so far
	last  isolate.Request

	fw    isolatetest.Firewall
	store isolatetest.Store
	clock isolatetest.Clock
	disk  isolatetest.Fault
	m     *isolate.Manager
	seen  isolate.Status // after the last step
	err   error

	restores int // of the firewall, so far

	ordered map[string]time.Time // in true time, by command
	booted  time.Time
	was     map[string]bool // commands in the boot of which they were ordered
}

func (l *life) Fatal(a ...any) { l.fail("%v", a) }

func (l *life) fail(format string, a ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, a...)
	}
}

// reached reports whether the fake kernel lets the agent through to the collector.
func (l *life) reached() bool {
	p, _ := l.fw.InForce()
	carried := func(t isolate.Tunnel) bool { return t.Address == l.outer.Address && t.Port == l.outer.Port }
	return !l.away && (p == nil || slices.Contains(p.Collectors, l.at) && (l.outer == nil || slices.ContainsFunc(p.Tunnels, carried)))
}

// found is what the fake kernel says of tunnels.
func (l *life) found(context.Context, isolate.Policy) (ts []isolate.Tunnel, limits []string) {
	if l.outer != nil {
		ts = append(ts, *l.outer)
	}
	return ts, nil
}

func (l *life) Controls(context.Context) isolate.Controls { return isolate.Controls{At: time.Now()} }

func (l *life) Try(context.Context, isolate.Policy, isolate.Controls, func(context.Context) ([]isolate.Drop, error)) []isolate.Trial {
	o := isolate.AsOrdered
	if _, whole := l.fw.InForce(); !whole || l.leaks.Load() {
		o = isolate.Contrary
	}
	return []isolate.Trial{{Name: "udp4", Chain: "inet out", Outcome: o}}
}

func (l *life) start() {
	m, err := isolate.NewManager(isolate.Config{
		Firewall: &l.fw, Store: &l.store, Clock: &l.clock, Trials: l, Tunnels: l.found,
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

func (l *life) order(r isolate.Request, otherwise isolate.Fallback) {
	l.n++
	r.CommandID = fmt.Sprint("cmd_", l.n)
	if otherwise != "" {
		r.Within, r.Else = confirmWithin, otherwise
	}
	l.last = r
	l.isolate(r)
	l.ordered[r.CommandID], l.was[r.CommandID] = time.Now(), true
}

func (l *life) isolate(r isolate.Request) {
	st, err := l.m.Isolate(context.Background(), r)
	l.truth(st, err)
	if l.leaks.Load() && st.Observed == isolate.Isolated && !errors.Is(err, isolate.ErrDrill) { // nothing is tried for what is refused
		l.fail("called isolated although it leaks: %+v", st)
	}
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
	case st.Desired == isolate.Isolated && st.Policy.Mode == isolate.Full && st.Until.IsZero() && st.CodeNumber == "":
		l.fail("nothing leads back: %+v", st)
	}
	if c := st.Confirm; c != nil {
		if !c.Missed.IsZero() && c.Else == isolate.RollBack && c.To == nil && st.Desired == isolate.Isolated {
			l.fail("is closed although it was rolled back: %+v", st)
		}
		if c.Else == isolate.StayClosed && st.Desired != isolate.Isolated {
			l.fail("was to stay closed: %+v", st)
		}
	}
	if rolled := st.Confirm != nil && !st.Confirm.Missed.IsZero(); l.seen.Desired == isolate.Isolated && !l.seen.Drill && l.seen.Persisted && st.Drill && !rolled {
		l.fail("a drill replaced %+v", l.seen)
	}
	l.opened(st)
	l.seen = st
	if n := l.fw.Calls("restore"); st.Desired == isolate.Isolated && n != l.restores {
		l.fail("opened although %s is to stay closed: %+v", st.CommandID, st)
	} else {
		l.restores = n
	}
}

// opened checks that what was isolated after the last step and is released now was
// released by somebody or something that may.
func (l *life) opened(st isolate.Status) {
	if l.seen.Desired != isolate.Isolated || st.Desired != isolate.Released || st.Ended == nil || !l.seen.Persisted {
		return // those who release say so themselves; and what was said not to be on disk may be forgotten
	}
	id := st.Ended.CommandID
	switch since := time.Since(l.ordered[id]); st.Ended.How {
	case isolate.HappenedReleasedByTime:
		if l.seen.Until.IsZero() || l.was[id] && since < givenTime || !l.was[id] && time.Since(l.booted) < 2*time.Minute {
			l.fail("opened %v after the order: %+v", since, l.seen)
		}
	case isolate.HappenedRolledBack:
		if c := st.Confirm; c == nil || c.Else != isolate.RollBack || l.reached() && !l.away && l.seen.WayHome != nil && l.seen.WayHome.OK {
			l.fail("rolled back: %+v", st)
		}
	default:
		l.fail("opened by itself: %+v", st)
	}
}

// code tries one; want says whether it is the right one.
func (l *life) code(number, account string, right bool) {
	coded := l.m.Status(context.Background()).CodeNumber != ""
	st, err := l.m.ReleaseByCode(context.Background(), codeOf(number).String(), account, "sato")
	var tooMany *isolate.TooManyTries
	switch {
	case err == nil && (!right || !coded || st.Ended == nil || st.Ended.How != isolate.HappenedReleasedByCode):
		l.fail("released by %s: %+v", number, st)
	case err != nil && st.Desired == isolate.Released && coded:
		l.fail("released by %s: %+v, %w", number, st, err)
	case right && errors.Is(err, isolate.ErrWrongCode):
		l.fail("the right code is wrong: %+v", st)
	case errors.As(err, &tooMany) && (tooMany.RetryAfter <= 0 || tooMany.RetryAfter > 24*time.Hour):
		l.fail("wait %v", tooMany.RetryAfter)
	}
	if err == nil {
		l.seen = st
	}
	l.truth(st, errors.Join(err, errors.New("not an order")))
}

func (l *life) run(steps []string) {
	ctx := context.Background()
	defer time.Sleep(time.Minute) // what is tried beside all that ends
	l.store.Next = func() isolatetest.Fault { return l.disk }
	l.ordered, l.was, l.booted = map[string]time.Time{}, map[string]bool{}, time.Now()
	l.start()
	for _, step := range steps {
		l.step(ctx, step)
		if l.err != nil {
			l.err = fmt.Errorf("%s: %w", step, l.err)
			return
		}
	}
	l.disk = isolatetest.None
	l.leaks.Store(false)
	// The agent looks every few seconds, and after a while everything is settled.
	for range 5 { // an endpoint that was restarted has two minutes
		time.Sleep(confirmWithin)
		l.truth(l.m.Reconcile(ctx))
		synctest.Wait()
	}
	st, err := l.m.Reconcile(ctx)
	l.truth(st, err)
	if err != nil {
		l.fail("is not settled: %w", err)
	}
	c := st.Confirm
	if st.Desired == isolate.Isolated && c != nil && c.At.IsZero() && c.Missed.IsZero() {
		l.fail("is neither confirmed nor missed: %+v", st)
	}
	if st.Desired == isolate.Isolated && c != nil && c.Else == isolate.RollBack && c.To == nil && c.At.IsZero() {
		l.fail("nobody reached the collector, and it is not rolled back: %+v", st)
	}
	l.home(ctx)
	l.leave(ctx, st)
	// And stays so.
	l.start()
	if st, err := l.m.Resume(ctx); err != nil || st.Observed != isolate.Released {
		l.fail("closed again after release: %+v, %w", st, err)
	}
}

// home shows that a tunnel that leads to the collector is found and kept open: one that
// could not prove itself while the collector was away is tried again.
func (l *life) home(ctx context.Context) {
	if st := l.seen; l.away || l.outer == nil || st.Desired != isolate.Isolated || st.Policy.Mode == isolate.Full || !slices.Contains(st.Policy.Collectors, l.at) {
		return
	}
	for range 12 {
		if l.reached() {
			return
		}
		time.Sleep(time.Minute)
		l.truth(l.m.Reconcile(ctx))
	}
	if l.seen.Desired == isolate.Isolated && !l.reached() {
		l.fail("the tunnel to the collector is cut: %+v", l.seen)
	}
}

// leave shows that the right person gets back in: by the code, by waiting for the time
// that a person set, or by a release from the collector.
func (l *life) leave(ctx context.Context, st isolate.Status) {
	if st.CodeNumber != "" {
		l.code(rightNumber, "1001", true) // whoever else tried before
		l.truth(l.m.Reconcile(ctx))
	}
	if l.seen.Desired == isolate.Isolated && !st.Until.IsZero() {
		time.Sleep(2*givenTime + time.Minute)
		l.truth(l.m.Reconcile(ctx))
	}
	if l.seen.Desired == isolate.Isolated && (st.Policy.Mode == isolate.Full || st.CodeNumber != "" || !st.Until.IsZero()) {
		l.fail("cannot be left: %+v", l.seen)
	}
	st, err := l.m.Release(ctx, isolate.Request{CommandID: "cmd_end"})
	l.truth(st, err)
	if err != nil || st.Observed != isolate.Released {
		l.fail("cannot be released: %+v, %w", st, err)
	}
}

func (l *life) step(ctx context.Context, step string) {
	a, b := isolate.Request{Policy: isolatetest.PolicyA()}, isolate.Request{Policy: isolatetest.PolicyB()}
	end := l.clock.Now().Add(givenTime)
	switch step {
	case "isolate":
		l.order(a, "")
	case "isolate or roll back":
		l.order(a, isolate.RollBack)
	case "isolate or stay":
		l.order(b, isolate.StayClosed)
	case "follow the collector":
		if l.reached() { // orders come from there
			a.Policy.Collectors = []netip.AddrPort{l.at, isolatetest.PolicyB().Collectors[0]}
			l.order(a, isolate.RollBack)
		}
	case "selective", "edit":
		a.Policy = isolatetest.PolicyC()
		for i := range a.Policy.Permits {
			a.Policy.Permits[i].ExpiresAt = end
		}
		if step == "edit" {
			a.Policy.Permits = a.Policy.Permits[1:]
		}
		l.order(a, "")
	case "full with a code", "full until":
		a.Policy = isolatetest.PolicyFull()
		if a.Until = end; step != "full until" {
			a.Until, a.Code = time.Time{}, stored(l, rightNumber)
		}
		l.order(a, "")
	case "until", "until or roll back":
		a.Until, a.Code = end, stored(l, rightNumber)
		l.order(a, map[string]isolate.Fallback{"until or roll back": isolate.RollBack}[step])
	case "drill":
		a.Drill, a.Until = true, end
		l.order(a, "")
	case "leased":
		a.Lease, a.Code = time.Hour, stored(l, rightNumber)
		l.order(a, "")
	case "heard":
		l.m.Heard()
	case "say it again":
		l.again(ctx)
	case "right code":
		l.code(rightNumber, "1000", true)
	case "wrong code":
		l.code(wrongNumber, "1000", false)
	case "slip":
		if _, err := l.m.ReleaseByCode(ctx, "11111-11111-11111-11111", "1000", "sato"); err == nil || errors.Is(err, isolate.ErrWrongCode) {
			l.fail("a slip: %w", err)
		}
	case "collector moves":
		l.at = isolatetest.PolicyB().Collectors[0]
	case "collector is away":
		l.away = !l.away
	case "release":
		st, err := l.m.Release(ctx, isolate.Request{CommandID: "cmd_r"})
		l.truth(st, err)
	case "reconcile":
		l.reconcile(ctx)
	case "crash", "reboot":
		if step == "reboot" {
			l.fw.Reboot()
			l.clock.Reboot()
			l.booted, l.was = time.Now(), map[string]bool{}
		}
		l.start()
		l.reconcile(ctx)
	case "tamper":
		l.fw.Damage()
	case "a moment":
		time.Sleep(confirmWithin / 3)
		l.reconcile(ctx)
	case "an hour":
		time.Sleep(time.Hour)
		l.reconcile(ctx)
	case "long":
		time.Sleep(24 * time.Hour)
	case "clock forward":
		l.clock.Set(100 * time.Hour)
		l.reconcile(ctx)
	case "clock back":
		l.clock.Set(-100 * time.Hour)
		l.reconcile(ctx)
	case "disk fails":
		l.disk = isolatetest.FailBefore
	case "disk works":
		l.disk = isolatetest.None
	case "tunnel", "another tunnel":
		t := tunnelTo("198.51.100." + fmt.Sprint(len(step))) // one each
		l.outer = &t
		l.reconcile(ctx)
	case "no tunnel":
		l.outer = nil
		l.reconcile(ctx)
	case "sleep":
		time.Sleep(8 * time.Hour)
		l.clock.Slept(8 * time.Hour)
		l.reconcile(ctx)
	case "leak", "no leak":
		l.leaks.Store(step == "leak")
	default:
		panic(step)
	}
}

// again delivers the last order once more. If it ended by itself it stays so.
func (l *life) again(ctx context.Context) {
	if l.n == 0 || l.m.Status(ctx).CommandID == "cmd_r" {
		return // a counter keeps orders out that were followed by others
	}
	before := l.m.Status(ctx)
	st, err := l.m.Isolate(ctx, l.last)
	if before.Ended != nil && before.Ended.CommandID == l.last.CommandID && (err == nil || before.Desired == isolate.Released && st.Desired != isolate.Released) {
		l.fail("isolated again: %+v, %w", st, err)
	}
	if before.Desired == isolate.Isolated && before.CommandID == l.last.CommandID && st.CommandID == before.CommandID && err == nil && !st.Until.Equal(before.Until) {
		l.fail("more time: %v, then %v", before.Until, st.Until)
	}
	l.truth(st, err)
}

func (l *life) reconcile(ctx context.Context) {
	st, err := l.m.Reconcile(ctx)
	l.truth(st, err)
	p, _ := l.fw.InForce()
	if st.Desired != isolate.Isolated || st.Observed != isolate.Isolated || p == nil {
		return
	}
	for _, m := range p.Permits {
		if !l.clock.Now().Before(m.ExpiresAt) {
			l.fail("in force after its end: %v", m)
		}
		if since := time.Since(l.ordered[st.CommandID]); l.was[st.CommandID] && since >= givenTime {
			l.fail("in force after %v: %v", since, m)
		}
	}
}
