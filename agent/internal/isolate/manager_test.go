package isolate_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

type rig struct {
	fw    isolatetest.Firewall
	store isolatetest.Store
	clock isolatetest.Clock
	cfg   isolate.Config
	*isolate.Manager
}

// newRig must be called inside a synctest bubble if time matters.
func newRig(t *testing.T, with ...func(*isolate.Config)) *rig {
	t.Helper()
	r := &rig{}
	r.cfg = isolate.Config{Firewall: &r.fw, Store: &r.store, Clock: &r.clock}
	for _, w := range with {
		w(&r.cfg)
	}
	r.restart(t)
	return r
}

// restart is what a restart of the agent does: the kernel and the disk stay.
func (r *rig) restart(t *testing.T) {
	t.Helper()
	m, err := isolate.NewManager(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Manager = m
}

func (r *rig) fault(call string, f isolatetest.Fault) {
	r.fw.Next = func(c string) isolatetest.Fault {
		if c == call {
			return f
		}
		return isolatetest.None
	}
}

func order(id string) isolate.Request {
	return isolate.Request{CommandID: id, Policy: isolatetest.PolicyA()}
}

func want(t *testing.T, st isolate.Status, desired, observed isolate.State, reason isolate.Reason) {
	t.Helper()
	if st.Desired != desired || st.Observed != observed || st.Reason != reason {
		t.Errorf("desired %s, observed %s (%s: %s); want %s, %s (%s)",
			st.Desired, st.Observed, st.Reason, st.Detail, desired, observed, reason)
	}
	if (st.Observed == isolate.Failed || st.Observed == isolate.Unknown) && st.Detail == "" {
		t.Error("no detail says what is wrong")
	}
}

func TestIsolateAndRelease(t *testing.T) {
	r := newRig(t)
	want(t, r.Status(t.Context()), isolate.Released, isolate.Released, "")
	st, err := r.Isolate(t.Context(), order("cmd_1"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, st, isolate.Isolated, isolate.Isolated, "")
	if st.CommandID != "cmd_1" || !st.Persisted || st.Observation.MeasuredAt.IsZero() || st.WayHome != nil || !st.Capable {
		t.Errorf("status %+v", st)
	}
	want(t, r.Status(t.Context()), isolate.Isolated, isolate.Isolated, "")
	st, err = r.Release(t.Context(), isolate.Request{CommandID: "cmd_2"})
	if err != nil {
		t.Fatal(err)
	}
	want(t, st, isolate.Released, isolate.Released, "")
	if p, _ := r.fw.InForce(); p != nil || st.CommandID != "cmd_2" {
		t.Errorf("in force: %v, status %+v", p, st)
	}
}

func TestOrderOfSteps(t *testing.T) {
	var steps []string
	r := newRig(t, func(c *isolate.Config) {
		c.Before = func(context.Context) error { steps = append(steps, "before"); return nil }
		c.WayHome = func(context.Context) error { steps = append(steps, "way home"); return nil }
	})
	r.fw.Next = func(c string) isolatetest.Fault { steps = append(steps, c); return isolatetest.None }
	r.store.Next = func() isolatetest.Fault { steps = append(steps, "record"); return isolatetest.None }
	st, err := r.Isolate(t.Context(), order("cmd_1"))
	if err != nil || st.Before != isolate.BeforeDone || st.WayHome == nil || !st.WayHome.OK {
		t.Fatalf("%+v, %v", st, err)
	}
	got := strings.Join(steps, ", ")
	if !strings.HasSuffix(got, "observe, before, record, apply, observe, way home") {
		t.Errorf("steps: %s", got)
	}
	steps = nil
	if _, err := r.Release(t.Context(), isolate.Request{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(steps, ", "); got != "observe, record, restore, record, observe" {
		t.Errorf("steps of release: %s", got)
	}
}

func TestBeforeNeverBlocks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(context.Context) error
		first  bool
		want   isolate.BeforeOutcome
		took   time.Duration
	}{
		{"done", func(context.Context) error { return nil }, false, isolate.BeforeDone, 0},
		{"failed", func(context.Context) error { return errors.New("no disk") }, false, isolate.BeforeFailed, 0},
		{"slow", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, false, isolate.BeforeTimedOut, 10 * time.Second},
		{"deaf", func(context.Context) error { <-time.After(time.Hour); return nil }, false, isolate.BeforeTimedOut, 10*time.Second + 100*time.Millisecond},
		{"skipped", func(context.Context) error { panic("called") }, true, isolate.BeforeSkipped, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *isolate.Config) { c.Before = tt.before })
				start := time.Now()
				o := order("cmd_1")
				o.IsolateFirst = tt.first
				st, err := r.Isolate(t.Context(), o)
				if err != nil || st.Before != tt.want {
					t.Errorf("before %q, %v; want %q", st.Before, err, tt.want)
				}
				want(t, st, isolate.Isolated, isolate.Isolated, "")
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				<-time.After(2 * time.Hour) // let the deaf one end
			})
		})
	}
}

// While the capture before the cut runs, Status answers and says isolating.
func TestStatusWhileAnOrderIsCarriedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *isolate.Config) {
			c.Before = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		want(t, r.Status(t.Context()), isolate.Released, isolate.Isolating, "")
		<-done
		want(t, r.Status(t.Context()), isolate.Isolated, isolate.Isolated, "")

		r.fault("restore", isolatetest.HangBefore)
		done = make(chan struct{})
		go func() {
			defer close(done)
			if _, err := r.Release(t.Context(), isolate.Request{}); err == nil {
				t.Error("a release that hung gave no error")
			}
		}()
		synctest.Wait()
		want(t, r.Status(t.Context()), isolate.Released, isolate.Releasing, "")
		<-done
	})
}

// slow reads rules in a millisecond.
type slow struct{ isolate.Firewall }

func (s slow) Observe(ctx context.Context, p *isolate.Policy) (isolate.Observation, error) {
	time.Sleep(time.Millisecond)
	return s.Firewall.Observe(ctx, p)
}

// The watcher looks at every event of the kernel, and an order makes many. None of these
// looks changes anything: the measurement taken beside them counts.
func TestStatusWhileTheWatcherLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *isolate.Config) { c.Firewall = slow{c.Firewall} })
		if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		looked := make(chan struct{})
		go func() {
			defer close(looked)
			for ctx.Err() == nil {
				if _, err := r.Reconcile(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		}()
		for range 20 {
			want(t, r.Status(t.Context()), isolate.Isolated, isolate.Isolated, "")
		}
		cancel()
		<-looked
	})
}

// What each fault of each call leads to: never a state that was not measured, and a
// Reconcile without faults always gets to what was ordered.
func TestFaults(t *testing.T) {
	const iso, rel = isolate.Isolated, isolate.Released
	for _, tt := range []struct {
		call    string
		fault   isolatetest.Fault
		after   isolate.State // ordered before, without faults
		order   isolate.State
		want    isolate.State
		reason  isolate.Reason
		noError bool
	}{
		{"apply", isolatetest.FailBefore, rel, iso, isolate.Failed, isolate.NotInForce, false},
		{"apply", isolatetest.FailAfter, rel, iso, iso, "", true},
		{"apply", isolatetest.Half, rel, iso, isolate.Failed, isolate.Incomplete, false},
		{"apply", isolatetest.HalfSilent, rel, iso, isolate.Failed, isolate.Incomplete, false},
		{"apply", isolatetest.HangBefore, rel, iso, isolate.Failed, isolate.NotInForce, false},
		{"apply", isolatetest.HangAfter, rel, iso, iso, "", true},
		{"apply", isolatetest.Deaf, rel, iso, isolate.Failed, isolate.NotInForce, false},
		{"restore", isolatetest.FailBefore, iso, rel, isolate.Failed, isolate.Leftover, false},
		{"restore", isolatetest.FailAfter, iso, rel, rel, "", true},
		{"restore", isolatetest.Half, iso, rel, isolate.Failed, isolate.Leftover, false},
		{"restore", isolatetest.HalfSilent, iso, rel, isolate.Failed, isolate.Leftover, false},
		{"restore", isolatetest.HangBefore, iso, rel, isolate.Failed, isolate.Leftover, false},
		{"restore", isolatetest.HangAfter, iso, rel, rel, "", true},
		{"restore", isolatetest.Deaf, iso, rel, isolate.Failed, isolate.Leftover, false},
		{"observe", isolatetest.FailBefore, rel, iso, isolate.Unknown, isolate.Unmeasured, false},
		{"observe", isolatetest.HangBefore, rel, iso, isolate.Unknown, isolate.Unmeasured, false},
		{"observe", isolatetest.Deaf, rel, iso, isolate.Unknown, isolate.Unmeasured, false},
		{"observe", isolatetest.FailBefore, iso, rel, isolate.Unknown, isolate.Unmeasured, false},
		{"observe", isolatetest.Deaf, iso, rel, isolate.Unknown, isolate.Unmeasured, false},
	} {
		t.Run(tt.call+" "+tt.fault.String()+" to "+string(tt.order), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				act := func(s isolate.State, id string) (isolate.Status, error) {
					if s == iso {
						return r.Isolate(t.Context(), order(id))
					}
					return r.Release(t.Context(), order(id))
				}
				if _, err := act(tt.after, "cmd_1"); err != nil {
					t.Fatal(err)
				}
				r.fault(tt.call, tt.fault)
				start := time.Now()
				st, err := act(tt.order, "cmd_2")
				want(t, st, tt.order, tt.want, tt.reason)
				if (err == nil) != tt.noError {
					t.Errorf("error %v", err)
				}
				if err != nil && !errors.Is(err, isolate.ErrNotInForce) {
					t.Errorf("error %v is not ErrNotInForce", err)
				}
				if took := time.Since(start); took > 25*time.Second {
					t.Errorf("took %v", took)
				}
				r.fw.Next = nil
				r.fw.Free()
				synctest.Wait()
				st, err = r.Reconcile(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				want(t, st, tt.order, tt.order, "")
			})
		})
	}
}

// A call that was given up must not act later, behind a newer order.
func TestAbandonedApplyDoesNotCloseAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.fault("apply", isolatetest.Deaf)
		if _, err := r.Isolate(t.Context(), order("cmd_1")); err == nil {
			t.Error("no error from a call that hangs")
		}
		r.fw.Next = nil
		st, err := r.Release(t.Context(), isolate.Request{CommandID: "cmd_2"})
		// Nothing is in force at this moment, but the hanging call is not done yet.
		want(t, st, isolate.Released, isolate.Released, "")
		if err != nil {
			t.Error(err)
		}
		r.fw.Free()
		synctest.Wait()
		want(t, r.Status(t.Context()), isolate.Released, isolate.Failed, isolate.Leftover)
		st, err = r.Reconcile(t.Context())
		if err != nil || len(st.Drift) == 0 {
			t.Errorf("drift %q, %v", st.Drift, err)
		}
		want(t, st, isolate.Released, isolate.Released, "")
	})
}

func TestWayHomeClosedStaysCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := false
		r := newRig(t, func(c *isolate.Config) {
			c.WayHome = func(ctx context.Context) error {
				if open {
					return nil
				}
				<-ctx.Done()
				return errors.New("no route to collector")
			}
		})
		st, err := r.Isolate(t.Context(), order("cmd_1"))
		if err != nil {
			t.Error(err)
		}
		want(t, st, isolate.Isolated, isolate.Isolated, "")
		if st.WayHome == nil || st.WayHome.OK || !strings.Contains(st.WayHome.Detail, "no route") {
			t.Errorf("way home %+v", st.WayHome)
		}
		if p, whole := r.fw.InForce(); p == nil || !whole {
			t.Error("the network was opened")
		}
		open = true
		st, err = r.Reconcile(t.Context())
		if err != nil || st.WayHome == nil || !st.WayHome.OK || r.fw.Calls("apply") != 1 {
			t.Errorf("way home %+v, %v after it opened; %d applies", st.WayHome, err, r.fw.Calls("apply"))
		}
	})
}

func TestSameCommandAgain(t *testing.T) {
	r := newRig(t, func(c *isolate.Config) { c.Before = func(context.Context) error { return nil } })
	for range 3 {
		st, err := r.Isolate(t.Context(), order("cmd_1"))
		if err != nil {
			t.Fatal(err)
		}
		want(t, st, isolate.Isolated, isolate.Isolated, "")
	}
	if n := r.fw.Calls("apply"); n != 1 {
		t.Errorf("applied %d times", n)
	}
	r.fw.Damage()
	st, err := r.Isolate(t.Context(), order("cmd_1"))
	if err != nil || r.fw.Calls("apply") != 2 || st.Before != "" {
		t.Errorf("after damage: %v, %d applies, before %q", err, r.fw.Calls("apply"), st.Before)
	}
	next := order("cmd_2")
	next.Policy = isolatetest.PolicyB()
	st, err = r.Isolate(t.Context(), next)
	if p, _ := r.fw.InForce(); err != nil || !p.Equal(isolatetest.PolicyB()) || st.CommandID != "cmd_2" {
		t.Errorf("new policy: %v in force, %v", p, err)
	}
}

func TestIsolateNeedsACollector(t *testing.T) {
	r := newRig(t)
	for _, cs := range [][]string{nil, {"0.0.0.0:1"}, {"192.0.2.1:0"}, {"224.0.0.1:7443"}, {"[::]:7443"}} {
		o := isolate.Request{CommandID: "cmd_1"}
		for _, c := range cs {
			o.Policy.Collectors = append(o.Policy.Collectors, netip.MustParseAddrPort(c))
		}
		st, err := r.Isolate(t.Context(), o)
		if !errors.Is(err, isolate.ErrNoCollector) {
			t.Errorf("%v: got %v, want ErrNoCollector", cs, err)
		}
		want(t, st, isolate.Released, isolate.Released, "")
	}
	if r.fw.Calls("apply") != 0 {
		t.Error("something was applied")
	}
}

type refusing struct {
	isolate.Unsupported
	err error
}

func (r refusing) Apply(context.Context, isolate.Policy) error { panic("applied") }
func (r refusing) Observe(context.Context, *isolate.Policy) (isolate.Observation, error) {
	return isolate.Observation{}, r.err
}

func TestIncapable(t *testing.T) {
	for _, tt := range []struct {
		err    error
		reason isolate.Reason
	}{{isolate.ErrNeedsRoot, isolate.NeedsRoot}, {errors.ErrUnsupported, isolate.NotSupported}} {
		r := newRig(t, func(c *isolate.Config) { c.Firewall = refusing{err: tt.err} })
		st, err := r.Isolate(t.Context(), order("cmd_1"))
		if !errors.Is(err, tt.err) {
			t.Errorf("got %v, want %v", err, tt.err)
		}
		want(t, st, isolate.Released, isolate.Unknown, tt.reason)
		if st.Capable {
			t.Error("says that it can isolate")
		}
		if _, err := r.store.Load(); !errors.Is(err, isolate.ErrNoRecord) {
			t.Errorf("something was recorded: %v", err)
		}
		if _, err := r.Release(t.Context(), order("cmd_2")); !errors.Is(err, tt.err) {
			t.Errorf("release: got %v, want %v", err, tt.err)
		}
		// An agent that nobody asked to isolate starts without an error.
		if st, err := r.Resume(t.Context()); err != nil || st.Observed != isolate.Unknown {
			t.Errorf("resume: %v, %v", st.Observed, err)
		}
	}
}

func TestDiskFull(t *testing.T) {
	r := newRig(t)
	r.store.Next = func() isolatetest.Fault { return isolatetest.FailBefore }
	st, err := r.Isolate(t.Context(), order("cmd_1"))
	if err != nil || st.Persisted {
		t.Errorf("persisted %v, %v", st.Persisted, err)
	}
	want(t, st, isolate.Isolated, isolate.Isolated, "")
	// Release writes first, and opens nothing if it cannot.
	st, err = r.Release(t.Context(), order("cmd_2"))
	if err == nil {
		t.Error("released without a record")
	}
	want(t, st, isolate.Isolated, isolate.Isolated, "")
	r.store.Next = nil
	if st, err = r.Reconcile(t.Context()); err != nil || !st.Persisted {
		t.Errorf("persisted %v, %v after there was room again", st.Persisted, err)
	}
	if rec, err := r.store.Load(); err != nil || rec.CommandID != "cmd_1" {
		t.Errorf("on disk: %+v, %v", rec, err)
	}
}

// A release whose writing failed may be on disk all the same; the isolation that goes
// on must not be forgotten at the next restart.
func TestReleaseThatMayBeOnDisk(t *testing.T) {
	for name, mend := range map[string]func(*rig) (isolate.Status, error){
		"isolate":   func(r *rig) (isolate.Status, error) { return r.Isolate(t.Context(), order("cmd_1")) },
		"reconcile": func(r *rig) (isolate.Status, error) { return r.Reconcile(t.Context()) },
	} {
		r := newRig(t)
		if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		r.store.Next = func() isolatetest.Fault { return isolatetest.FailAfter }
		if st, err := r.Release(t.Context(), order("cmd_2")); err == nil || st.Persisted {
			t.Errorf("%s: release: persisted %v, %v", name, st.Persisted, err)
		}
		r.store.Next = nil
		if st, err := mend(r); err != nil || !st.Persisted {
			t.Errorf("%s: persisted %v, %v", name, st.Persisted, err)
		}
		r.restart(t)
		st, err := r.Resume(t.Context())
		if err != nil {
			t.Error(err)
		}
		want(t, st, isolate.Isolated, isolate.Isolated, "")
	}
}

func TestRestartAndReboot(t *testing.T) {
	r := newRig(t)
	if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
		t.Fatal(err)
	}
	r.restart(t)
	if st, err := r.Resume(t.Context()); err != nil || r.fw.Calls("apply") != 1 {
		t.Errorf("restart: %+v, %v, %d applies", st, err, r.fw.Calls("apply"))
	}
	r.fw.Reboot()
	r.restart(t)
	want(t, r.Status(t.Context()), isolate.Isolated, isolate.Failed, isolate.NotInForce)
	st, err := r.Resume(t.Context())
	if err != nil || st.CommandID != "cmd_1" || !st.Policy.Equal(isolatetest.PolicyA()) {
		t.Errorf("reboot: %+v, %v", st, err)
	}
	want(t, st, isolate.Isolated, isolate.Isolated, "")
	// A release that was recorded but not carried out is carried out.
	r.fault("restore", isolatetest.FailBefore)
	if _, err := r.Release(t.Context(), order("cmd_2")); err == nil {
		t.Error("no error")
	}
	r.fw.Next = nil
	r.restart(t)
	st, err = r.Resume(t.Context())
	if err != nil {
		t.Error(err)
	}
	want(t, st, isolate.Released, isolate.Released, "")
}

func TestLostRecordStaysClosed(t *testing.T) {
	known := isolatetest.PolicyB().Collectors
	for _, tt := range []struct {
		name   string
		lose   func(*rig)
		closed bool
	}{
		{"record lost where isolation was known", func(r *rig) { r.store.Lose(); r.fw.Reboot() }, true},
		{"all files gone, rules in force", func(r *rig) { r.store = isolatetest.Store{} }, true},
		{"all files and rules gone", func(r *rig) { r.store = isolatetest.Store{}; r.fw.Reboot() }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(c *isolate.Config) { c.Collectors = func() []netip.AddrPort { return known } })
			if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
				t.Fatal(err)
			}
			tt.lose(r)
			r.restart(t)
			st, err := r.Resume(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !tt.closed {
				want(t, st, isolate.Released, isolate.Released, "")
				return
			}
			want(t, st, isolate.Isolated, isolate.Isolated, "")
			if p, _ := r.fw.InForce(); !p.Equal(isolatetest.PolicyB()) || !st.RecordLost {
				t.Errorf("in force: %v, record lost: %v", p, st.RecordLost)
			}
			r.restart(t) // and it stays so
			if st, err := r.Resume(t.Context()); err != nil || !st.RecordLost || !st.Persisted {
				t.Errorf("second restart: %+v, %v", st, err)
			}
			if _, err := r.Release(t.Context(), order("cmd_2")); err != nil {
				t.Error(err)
			}
			if st := r.Status(t.Context()); st.RecordLost {
				t.Error("still lost after an order")
			}
		})
	}
}

// When neither disk nor kernel can tell, nothing is opened and nothing is claimed.
func TestUnreadableKernelWithoutRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		r.store = isolatetest.Store{}
		r.restart(t)
		r.fault("observe", isolatetest.FailBefore)
		st, err := r.Resume(t.Context())
		if err == nil {
			t.Error("no error")
		}
		want(t, st, isolate.Unknown, isolate.Unknown, isolate.Unmeasured)
		if r.fw.Calls("restore") != 0 {
			t.Error("the network was opened")
		}
		// An order needs no record.
		st, err = r.Isolate(t.Context(), order("cmd_2"))
		if !errors.Is(err, isolate.ErrNotInForce) {
			t.Errorf("got %v", err)
		}
		want(t, st, isolate.Isolated, isolate.Unknown, isolate.Unmeasured)
		if p, whole := r.fw.InForce(); p == nil || !whole {
			t.Error("not closed")
		}
	})
}

func TestReconcilePutsDriftRight(t *testing.T) {
	r := newRig(t)
	if st, err := r.Reconcile(t.Context()); err != nil || st.Drift != nil {
		t.Errorf("nothing ordered: drift %q, %v", st.Drift, err)
	}
	if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
		t.Fatal(err)
	}
	if st, err := r.Reconcile(t.Context()); err != nil || st.Drift != nil || r.fw.Calls("apply") != 1 {
		t.Errorf("nothing changed: drift %q, %v, %d applies", st.Drift, err, r.fw.Calls("apply"))
	}
	for name, tamper := range map[string]func(){"damage": r.fw.Damage, "flush": r.fw.Reboot} {
		tamper()
		st, err := r.Reconcile(t.Context())
		if err != nil || len(st.Drift) == 0 {
			t.Errorf("%s: drift %q, %v", name, st.Drift, err)
		}
		want(t, st, isolate.Isolated, isolate.Isolated, "")
	}
}

// A caller that goes away leaves no network half cut.
func TestCallerGoesAway(t *testing.T) {
	r := newRig(t)
	ctx, stop := context.WithCancel(t.Context())
	r.store.Next = func() isolatetest.Fault { stop(); return isolatetest.None }
	if st, err := r.Isolate(ctx, order("cmd_1")); err != nil || st.Observed != isolate.Isolated {
		t.Errorf("%+v, %v", st, err)
	}
}
