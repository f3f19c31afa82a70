package isolate_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// Watching begins with the order to isolate, tells what was seen to who reconciles, and
// ends with the release.
func TestWatchFollowsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		fw := &isolatetest.Watched{}
		r := newRig(t, func(c *isolate.Config) { c.Firewall = fw })
		events := r.Watch(ctx)
		synctest.Wait()
		if n := fw.Watches(); n != 0 {
			t.Errorf("watched %d times although nothing is ordered", n)
		}
		if _, err := r.Isolate(ctx, order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		<-events // watching has begun
		go fw.Tell(isolate.Event{What: []string{"table deleted by \"nft\""}, Rules: true})
		if e := <-events; !e.Rules {
			t.Errorf("%+v", e)
		}
		fw.Damage()
		st, err := r.Reconcile(ctx)
		if err != nil || len(st.Drift) == 0 || !slices.Equal(st.Seen, []string{"table deleted by \"nft\""}) {
			t.Errorf("drift %q, seen %q, %v", st.Drift, st.Seen, err)
		}
		if st, err := r.Reconcile(ctx); err != nil || len(st.Seen) != 0 {
			t.Errorf("told twice: %q, %v", st.Seen, err)
		}
		fw.Break()
		<-events // and has begun again
		if n := fw.Watches(); n != 2 {
			t.Errorf("watched %d times, want 2", n)
		}
		if _, err := r.Release(ctx, isolate.Request{CommandID: "cmd_2"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case e := <-events:
			t.Errorf("told after release: %+v", e)
		default:
		}
		stop()
		if _, ok := <-events; ok {
			t.Error("channel is open")
		}
	})
}

// A firewall that cannot be watched now is asked again; one that never can is not.
func TestWatchThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		fails := 3
		fw := &isolatetest.Watched{Deny: func() error {
			if fails--; fails >= 0 {
				return errors.New("no")
			}
			return nil
		}}
		r := newRig(t, func(c *isolate.Config) { c.Firewall = fw })
		events := r.Watch(ctx)
		if _, err := r.Isolate(ctx, order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		<-events
		if d := time.Since(start); d < 20*time.Second || d > time.Minute {
			t.Errorf("watched again after %v", d)
		}
		plain := newRig(t)
		none := plain.Watch(ctx)
		if _, err := plain.Isolate(ctx, order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case e := <-none:
			t.Errorf("told %+v", e)
		default:
		}
	})
}

// Rules that an earlier process left in force are locked, which is no drift.
func TestResumeLocksWhatNobodyHolds(t *testing.T) {
	fw := &holding{}
	r := newRig(t, func(c *isolate.Config) { c.Firewall = fw })
	if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
		t.Fatal(err)
	}
	r.restart(t)
	fw.held = isolate.HeldByNobody
	n := fw.Calls("apply")
	st, err := r.Resume(t.Context())
	if err != nil || len(st.Drift) != 0 || st.Observation.Held != isolate.HeldHere || fw.Calls("apply") != n+1 {
		t.Errorf("%+v, %v, %d calls", st, err, fw.Calls("apply")-n)
	}
	if _, err := r.Reconcile(t.Context()); err != nil || fw.Calls("apply") != n+1 {
		t.Errorf("applied again: %v", err)
	}
	// Locking that fails leaves what is in force, and says so truly.
	fw.held, fw.broken = isolate.HeldByNobody, true
	st, err = r.Reconcile(t.Context())
	if err != nil || st.Observed != isolate.Isolated || st.Observation.Held != isolate.HeldByNobody {
		t.Errorf("%+v, %v", st, err)
	}
}

// holding is a fake whose rules can be held.
type holding struct {
	isolatetest.Firewall
	held   isolate.Held
	broken bool
}

func (h *holding) Apply(ctx context.Context, p isolate.Policy) error {
	if h.broken {
		return isolatetest.ErrInjected
	}
	h.held = isolate.HeldHere
	return h.Firewall.Apply(ctx, p)
}

func (h *holding) Observe(ctx context.Context, p *isolate.Policy) (isolate.Observation, error) {
	o, err := h.Firewall.Observe(ctx, p)
	o.Held = h.held
	return o, err
}

// Rules that others hook in beside ours are told as what they are: nothing of the
// isolation changed, and nothing is put right.
func TestOthersRulesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		fw := &isolatetest.Watched{}
		r, told := newTold(t, func(c *isolate.Config) { c.Firewall = fw })
		events := r.Watch(ctx)
		if _, err := r.Isolate(ctx, order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		<-events // watching has begun
		const other = `table ip "evil": chain "out" with policy accept at the hook output by "nft", process 7`
		go fw.Tell(isolate.Event{Others: []string{other}})
		<-events
		if st := reconcile(t, r, isolate.Isolated); len(st.Drift) != 0 || len(st.Seen) != 0 {
			t.Errorf("taken for a change of ours: %+v", st)
		}
		reconcile(t, r, isolate.Isolated)
		synctest.Wait()
		got := told()
		wantTold(t, got, isolate.HappenedOthersRules)
		if len(got) == 1 && !slices.Equal(got[0].Seen, []string{other}) {
			t.Errorf("%q", got[0].Seen)
		}
		stop()
		for range events {
		}
	})
}
