package isolate_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// newTold is a rig, and what was told since it was last asked.
func newTold(t *testing.T, with ...func(*isolate.Config)) (*rig, func() []isolate.Happening) {
	var mu sync.Mutex
	var all []isolate.Happening
	r := newRig(t, append(with, func(c *isolate.Config) {
		c.Tell = func(h isolate.Happening) bool {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, h)
			return true
		}
	})...)
	return r, func() []isolate.Happening {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		got := all
		all = nil
		return got
	}
}

func kinds(hs []isolate.Happening) (ks []isolate.Kind) {
	for _, h := range hs {
		ks = append(ks, h.Kind)
	}
	return ks
}

func wantTold(t *testing.T, got []isolate.Happening, ks ...isolate.Kind) {
	t.Helper()
	if !slices.Equal(kinds(got), ks) {
		t.Errorf("told %v, want %v", kinds(got), ks)
	}
}

func reconcile(t *testing.T, r *rig, desired isolate.State) isolate.Status {
	t.Helper()
	st, err := r.Reconcile(t.Context())
	if err != nil {
		t.Error(err)
	}
	want(t, st, desired, desired, "")
	return st
}

func (r *rig) reboot(t *testing.T) {
	t.Helper()
	r.fw.Reboot()
	r.clock.Reboot()
	r.restart(t)
}

type severing struct{ policies []isolate.Policy }

func (s *severing) Sever(_ context.Context, p isolate.Policy) (isolate.Severed, error) {
	s.policies = append(s.policies, p)
	return isolate.Severed{}, nil
}

// until is an order for an hour.
func until(id string) isolate.Request {
	r := order(id)
	r.Until = time.Now().Add(time.Hour)
	return r
}

func TestUntil(t *testing.T) {
	type step struct {
		sleep  time.Duration
		set    time.Duration
		reboot bool
		crash  bool
		want   isolate.State
	}
	const iso, rel = isolate.Isolated, isolate.Released
	for name, steps := range map[string][]step{
		"in time":                 {{sleep: 59 * time.Minute, want: iso}, {sleep: time.Minute, want: rel}, {sleep: time.Hour, want: rel}},
		"clock set forward":       {{set: 24 * time.Hour, want: iso}, {sleep: 59 * time.Minute, want: iso}, {sleep: time.Minute, want: rel}},
		"clock set back":          {{set: -24 * time.Hour, want: iso}, {sleep: time.Hour, want: iso}, {sleep: 59 * time.Minute, want: iso}, {sleep: time.Minute, want: rel}},
		"clock set back a little": {{set: -10 * time.Minute, want: iso}, {sleep: time.Hour, want: iso}, {sleep: 10 * time.Minute, want: rel}},
		"over crashes":            {{sleep: 30 * time.Minute, crash: true, want: iso}, {sleep: 29 * time.Minute, crash: true, want: iso}, {sleep: time.Minute, want: rel}},
		"forward and crash":       {{set: 24 * time.Hour, crash: true, want: iso}, {sleep: 59 * time.Minute, crash: true, want: iso}, {sleep: time.Minute, want: rel}},
		"off over the time":       {{sleep: 2 * time.Hour, reboot: true, want: iso}, {sleep: 119 * time.Second, want: iso}, {sleep: time.Second, want: rel}},
		"off for a while":         {{sleep: 30 * time.Minute, reboot: true, want: iso}, {sleep: 29 * time.Minute, want: iso}, {sleep: time.Minute, want: rel}},
		"forward while off":       {{set: 24 * time.Hour, reboot: true, want: iso}, {sleep: 2 * time.Minute, want: rel}},
		"forward after a restart": {{sleep: time.Minute, reboot: true, want: iso}, {set: 24 * time.Hour, want: iso}, {sleep: 58 * time.Minute, want: iso}, {sleep: time.Minute, want: rel}},
		"back while off":          {{sleep: 20 * time.Minute, set: -24 * time.Hour, reboot: true, want: iso}, {sleep: 99 * time.Minute, want: iso}, {sleep: 21 * time.Minute, want: rel}},
		"no battery for the clock": {
			{sleep: 20 * time.Minute, want: iso}, {set: -8760 * time.Hour, reboot: true, want: iso},
			{sleep: 20 * time.Minute, want: iso}, {set: -time.Hour, reboot: true, want: iso},
			{sleep: 20 * time.Minute, want: iso}, {set: -time.Hour, reboot: true, want: iso},
			{sleep: 59 * time.Minute, want: iso}, {sleep: 61 * time.Minute, want: rel},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, told := newTold(t)
				o := until("cmd_1")
				st, err := r.Isolate(t.Context(), o)
				if err != nil || !st.Until.Equal(o.Until) {
					t.Fatalf("%+v, %v", st, err)
				}
				for i, s := range steps {
					time.Sleep(s.sleep)
					r.clock.Set(s.set)
					switch {
					case s.reboot:
						r.reboot(t)
					case s.crash:
						r.restart(t)
					}
					if st := reconcile(t, r, s.want); t.Failed() {
						t.Fatalf("step %d: %+v", i, st)
					}
				}
				if got := told(); len(got) != 1 || got[0].Kind != isolate.HappenedReleasedByTime || got[0].CommandID != "cmd_1" || got[0].Status.Observed != rel {
					t.Errorf("told %+v", got)
				}
				// The same order said again is over.
				st, err = r.Isolate(t.Context(), order("cmd_1"))
				if !errors.Is(err, isolate.ErrEnded) {
					t.Errorf("got %v, want ErrEnded", err)
				}
				want(t, st, rel, rel, "")
				if st, err := r.Isolate(t.Context(), order("cmd_2")); err != nil || !st.Until.IsZero() {
					t.Errorf("%+v, %v", st, err)
				}
			})
		})
	}
}

// What cannot be written is not released, and meanwhile kept closed as ever.
func TestUntilOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := newTold(t)
		if _, err := r.Isolate(t.Context(), until("cmd_1")); err != nil {
			t.Fatal(err)
		}
		r.store.Next = func() isolatetest.Fault { return isolatetest.FailBefore }
		time.Sleep(2 * time.Hour)
		r.fw.Damage()
		st, err := r.Reconcile(t.Context())
		if err == nil || len(st.Drift) == 0 {
			t.Errorf("drift %q, %v", st.Drift, err)
		}
		want(t, st, isolate.Isolated, isolate.Isolated, "")
		r.store.Next = nil
		reconcile(t, r, isolate.Released)
		if ks := kinds(told()); !slices.Contains(ks, isolate.HappenedReleasedByTime) {
			t.Errorf("told %v", ks)
		}
	})
}

// An isolation that was rolled back to has its own end again.
func TestRollBackToAnIsolationWithAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := false
		r, told := newTold(t, func(c *isolate.Config) {
			c.WayHome = func(context.Context) error {
				if open {
					return nil
				}
				return errNoWay
			}
		})
		if _, err := r.Isolate(t.Context(), until("cmd_1")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		if _, err := r.Isolate(t.Context(), confirmed("cmd_2", isolate.RollBack)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if st := reconcile(t, r, isolate.Isolated); st.CommandID != "cmd_1" || st.Until.IsZero() {
			t.Errorf("%+v", st)
		}
		if _, err := r.Isolate(t.Context(), confirmed("cmd_2", isolate.RollBack)); !errors.Is(err, isolate.ErrEnded) {
			t.Errorf("what was rolled back: %v", err)
		}
		time.Sleep(29 * time.Minute)
		reconcile(t, r, isolate.Released)
		wantTold(t, told(), isolate.HappenedRolledBack, isolate.HappenedReleasedByTime)
	})
}

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := newTold(t)
		o := order("cmd_1")
		o.Lease = time.Hour
		st, err := r.Isolate(t.Context(), o)
		if err != nil || st.LeaseLapsed || !st.LeaseUntil.Equal(time.Now().Add(time.Hour)) {
			t.Fatalf("%+v, %v", st, err)
		}
		time.Sleep(50 * time.Minute)
		r.clock.Set(48 * time.Hour) // no reason to tell anything
		r.Heard()
		time.Sleep(50 * time.Minute)
		if st := reconcile(t, r, isolate.Isolated); st.LeaseLapsed || !st.LeaseUntil.Equal(r.clock.Now().Add(10*time.Minute)) {
			t.Errorf("%+v", st)
		}
		wantTold(t, told())
		time.Sleep(10 * time.Minute)
		for range 3 {
			if st := reconcile(t, r, isolate.Isolated); !st.LeaseLapsed {
				t.Errorf("%+v", st)
			}
		}
		synctest.Wait() // told, and kept
		r.restart(t)    // is no reason to tell it again
		if st := reconcile(t, r, isolate.Isolated); !st.LeaseLapsed {
			t.Errorf("%+v", st)
		}
		wantTold(t, told(), isolate.HappenedLeaseLapsed)
		r.Heard()
		if st := reconcile(t, r, isolate.Isolated); st.LeaseLapsed {
			t.Errorf("%+v", st)
		}
		// Being switched off is no lapse: the collector has a little time to be heard.
		time.Sleep(24 * time.Hour)
		r.reboot(t)
		if st := reconcile(t, r, isolate.Isolated); st.LeaseLapsed {
			t.Errorf("%+v", st)
		}
		time.Sleep(2 * time.Minute)
		if st := reconcile(t, r, isolate.Isolated); !st.LeaseLapsed {
			t.Errorf("%+v", st)
		}
		wantTold(t, told(), isolate.HappenedLeaseLapsed)
		if n := r.fw.Calls("restore"); n != 0 {
			t.Error("a lease opened it")
		}
	})
}

// asked counts how often the clock is asked.
type asked struct {
	isolate.Clock
	n atomic.Int32
}

func (a *asked) Boot() (string, time.Duration) {
	a.n.Add(1)
	return a.Clock.Boot()
}

// Every message from the collector is heard, and costs nothing where there is no lease.
func TestHeardWithoutALease(t *testing.T) {
	r := newRig(t)
	a := &asked{Clock: &r.clock}
	r.cfg.Clock = a
	r.restart(t)
	for range 2 {
		a.n.Store(0)
		for range 100 {
			r.Heard()
		}
		if n := a.n.Load(); n != 0 {
			t.Errorf("asked %d times", n)
		}
		if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
			t.Fatal(err)
		}
	}
}

// The same command delivered again, by a collector that gives it other times even, gives
// neither the isolation nor its permits more of it, over restarts too.
func TestSayingItAgainGivesNoMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := newTold(t)
		given := func(d time.Duration) isolate.Request {
			o := order("cmd_1")
			o.Policy, o.Lease = isolatetest.PolicyC(), 2*time.Hour
			for i := range o.Policy.Permits {
				o.Policy.Permits[i].ExpiresAt = time.Now().Add(d / 2)
			}
			o.Until = time.Now().Add(d)
			return o
		}
		first := given(time.Hour)
		if _, err := r.Isolate(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			time.Sleep(10 * time.Minute)
			if i == 2 {
				r.restart(t)
			}
			st, err := r.Isolate(t.Context(), given(time.Hour))
			if err != nil || !st.Until.Equal(first.Until) {
				t.Errorf("%v: until %v, %v", i, st.Until, err)
			}
			st = reconcile(t, r, isolate.Isolated)
			if open := len(st.Policy.Permits) > 0; open != (i < 2) {
				t.Errorf("after %d times 10 min: %v", i+1, st.Policy.Permits)
			}
		}
		time.Sleep(10*time.Minute - time.Second)
		reconcile(t, r, isolate.Isolated)
		time.Sleep(time.Second)
		reconcile(t, r, isolate.Released)
		wantTold(t, told(), isolate.HappenedPermitEnded, isolate.HappenedReleasedByTime)
	})
}
