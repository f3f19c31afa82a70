package isolate_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// trying is a fake isolate.Trials.
type trying struct {
	fw *isolatetest.Firewall // what is open is what it does not cut

	mu       sync.Mutex
	leaks    bool          // lets something pass although it is cut
	takes    time.Duration // to try
	controls time.Duration // to try the controls; they are given up then
	deaf     bool          // heeds no context
	got      []isolate.Controls
	controlN int
}

func (f *trying) Controls(ctx context.Context) isolate.Controls {
	f.mu.Lock()
	f.controlN++
	d, deaf := f.controls, f.deaf
	f.mu.Unlock()
	if deaf {
		<-time.After(d)
		return isolate.Controls{}
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return isolate.Controls{At: time.Now().UTC().Round(0), Open: []isolate.Control{{Name: "tcp4", Target: "192.0.2.99:80"}}}
}

func (f *trying) Try(ctx context.Context, p isolate.Policy, c isolate.Controls, drops func(context.Context) ([]isolate.Drop, error)) []isolate.Trial {
	f.mu.Lock()
	f.got = append(f.got, c)
	takes, leaks := f.takes, f.leaks
	f.mu.Unlock() // the bubble's time stands still while somebody waits for a lock
	select {
	case <-ctx.Done():
	case <-time.After(takes):
	}
	if _, err := drops(ctx); err != nil && ctx.Err() == nil && f.fw.Next == nil {
		panic(err)
	}
	o := isolate.AsOrdered
	if now, whole := f.fw.InForce(); leaks || now == nil || !whole {
		o = isolate.Contrary
	}
	return []isolate.Trial{
		{Name: "tcp4", Outcome: o, Chain: "inet out", Target: "192.0.2.99:80", At: time.Now()},
		{Name: "collector", Outcome: isolate.Contrary, Reason: "no_answer", At: time.Now()}, // is switched off
	}
}

func (f *trying) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// newTrying is a rig with trials, and what was told.
func newTrying(t *testing.T, with ...func(*isolate.Config)) (*rig, *trying, func() []isolate.Happening) {
	f := &trying{}
	r, told := newTold(t, append(with, func(c *isolate.Config) { c.Trials = f })...)
	f.fw = &r.fw
	return r, f, told
}

func TestTrials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f, told := newTrying(t)
		st, err := r.Isolate(t.Context(), order("cmd_1"))
		if err != nil || len(st.Trials) != 2 || st.Trials[0].Outcome != isolate.AsOrdered {
			t.Fatalf("%+v, %v", st, err)
		}
		want(t, st, isolate.Isolated, isolate.Isolated, "") // although the collector does not answer
		// Again a minute later, with the controls from before the cut, after a restart too.
		time.Sleep(59 * time.Second)
		reconcile(t, r, isolate.Isolated)
		synctest.Wait()
		if len(f.got) != 1 {
			t.Errorf("tried %d times within a minute", len(f.got))
		}
		time.Sleep(time.Second)
		reconcile(t, r, isolate.Isolated)
		synctest.Wait()
		r.reboot(t)
		reconcile(t, r, isolate.Isolated)
		synctest.Wait()
		if _, err := r.Isolate(t.Context(), order("cmd_2")); err != nil { // while isolated
			t.Error(err)
		}
		if len(f.got) != 4 || slices.ContainsFunc(f.got, func(c isolate.Controls) bool { return len(c.Open) != 1 || c.At.IsZero() }) {
			t.Errorf("tried with %+v", f.got)
		}
		if f.controlN != 1 {
			t.Errorf("controls were tried %d times", f.controlN)
		}
		wantTold(t, told())
		if st, err := r.Release(t.Context(), order("cmd_3")); err != nil || len(st.Trials) != 0 {
			t.Errorf("%+v, %v", st, err)
		}
		time.Sleep(time.Hour)
		reconcile(t, r, isolate.Released)
		if len(f.got) != 4 {
			t.Error("tried although released")
		}
	})
}

// What passes although the rules are in force is never called isolated, until a trial
// shows that it is cut.
func TestLeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f, told := newTrying(t)
		f.leaks = true
		st, err := r.Isolate(t.Context(), order("cmd_1"))
		if !errors.Is(err, isolate.ErrNotInForce) {
			t.Errorf("got %v", err)
		}
		want(t, st, isolate.Isolated, isolate.Failed, isolate.Leak)
		want(t, r.Status(t.Context()), isolate.Isolated, isolate.Failed, isolate.Leak)
		if got := told(); len(got) != 1 || got[0].Kind != isolate.HappenedLeak || len(got[0].Differences) != 1 || got[0].Status.Reason != isolate.Leak {
			t.Errorf("told %+v", got)
		}
		for range 12 {
			time.Sleep(5 * time.Second)
			st, err := r.Reconcile(t.Context())
			if err == nil || len(st.Drift) != 0 {
				t.Errorf("drift %q, %v", st.Drift, err)
			}
			want(t, st, isolate.Isolated, isolate.Failed, isolate.Leak)
			synctest.Wait()
		}
		if got := told(); len(got) != 1 || got[0].Kind != isolate.HappenedLeak || got[0].Count < 11 {
			t.Errorf("told %+v", got)
		}
		if n := r.fw.Calls("apply"); n != 1 {
			t.Errorf("applied %d times what is in force", n)
		}
		f.set(func() { f.leaks = false })
		time.Sleep(5 * time.Second)
		_, _ = r.Reconcile(t.Context())
		synctest.Wait()
		reconcile(t, r, isolate.Isolated)
	})
}

// Trials delay neither the cut nor the answer for long, whatever they do.
func TestSlowTrials(t *testing.T) {
	for _, tt := range []struct {
		name            string
		first, deaf     bool
		controls, takes time.Duration
		cut, answer     time.Duration
	}{
		{"quick", false, false, 300 * time.Millisecond, time.Second, 300 * time.Millisecond, 1300 * time.Millisecond},
		{"slow", false, false, time.Hour, time.Hour, 1900 * time.Millisecond, 4900 * time.Millisecond},
		{"deaf", false, true, time.Hour, time.Hour, 2 * time.Second, 5 * time.Second},
		{"isolate first", true, false, time.Hour, 0, 250 * time.Millisecond, 250 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cut time.Time
				r, f, _ := newTrying(t, func(c *isolate.Config) {
					c.Before = func(context.Context) error { <-time.After(10 * time.Millisecond); return nil }
				})
				f.controls, f.takes, f.deaf = tt.controls, tt.takes, tt.deaf
				r.store.Next = func() isolatetest.Fault {
					cut = time.Now()
					return isolatetest.None
				}
				began := time.Now()
				o := order("cmd_1")
				o.IsolateFirst = tt.first
				st, err := r.Isolate(t.Context(), o)
				if err != nil {
					t.Error(err)
				}
				want(t, st, isolate.Isolated, isolate.Isolated, "")
				if d := cut.Sub(began); d != tt.cut {
					t.Errorf("cut after %v, want %v", d, tt.cut)
				}
				if d := time.Since(began); d != tt.answer {
					t.Errorf("answer after %v, want %v", d, tt.answer)
				}
				// What is tried for an order that is gone counts for nothing.
				f.set(func() { f.leaks, f.takes = true, 0 })
				if st, err := r.Release(t.Context(), order("cmd_2")); err != nil || st.Observed != isolate.Released {
					t.Errorf("%+v, %v", st, err)
				}
				time.Sleep(3 * time.Hour)
				reconcile(t, r, isolate.Released)
			})
		})
	}
}
