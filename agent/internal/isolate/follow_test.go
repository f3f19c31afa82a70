package isolate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
)

// paths is what a PC finds of tunnels, and whether the collector answers.
type paths struct {
	found   []isolate.Tunnel
	limits  []string
	reached bool
	hang    bool
	asked   int
}

func (p *paths) config(c *isolate.Config) {
	c.Tunnels = func(ctx context.Context, _ isolate.Policy) ([]isolate.Tunnel, []string) {
		p.asked++
		if p.hang {
			<-ctx.Done()
			return nil, nil
		}
		return slices.Clone(p.found), p.limits
	}
	c.WayHome = func(context.Context) error {
		if p.reached {
			return nil
		}
		return errors.New("nobody answers")
	}
}

// opens checks what is in force, in the kernel and in the record.
func (r *rig) opens(t *testing.T, what string, want ...isolate.Tunnel) isolate.Status {
	t.Helper()
	st, err := r.Reconcile(t.Context())
	p, whole := r.fw.InForce()
	rec, lerr := r.store.Load()
	if err != nil || lerr != nil || p == nil || !whole || st.Observed != isolate.Isolated {
		t.Fatalf("%s: %+v, %v, %v", what, st, err, lerr)
	}
	expect := isolate.Policy{Tunnels: want}.Clean().Tunnels
	same := func(ts []isolate.Tunnel) bool {
		return slices.EqualFunc(ts, expect, func(a, b isolate.Tunnel) bool {
			return a.Address == b.Address && a.Protocol == b.Protocol && a.Port == b.Port
		})
	}
	if !same(p.Tunnels) || !same(st.Policy.Tunnels) || !same(rec.Policy.Tunnels) {
		t.Fatalf("%s: in force %v, status %v, record %v; want %v", what, p.Tunnels, st.Policy.Tunnels, rec.Policy.Tunnels, expect)
	}
	return st
}

// What led to the collector before the cut stays open, and comes back after it went.
func TestTunnelGoesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := tunnelTo("192.0.2.1"), tunnelTo("2001:db8::7")
		w := &paths{found: []isolate.Tunnel{a}, limits: []string{"half of it is not known"}, reached: true}
		r := newRig(t, w.config)
		st, err := r.Isolate(t.Context(), order("cmd_1"))
		if err != nil || len(st.Policy.Tunnels) != 1 || !st.Policy.Tunnels[0].Proved || !slices.Contains(st.Observation.Limits, w.limits[0]) {
			t.Fatalf("%+v, %v", st, err)
		}
		applied := r.fw.Calls("apply")
		r.opens(t, "nothing changed", a)
		if r.fw.Calls("apply") != applied {
			t.Error("rules were set although nothing changed")
		}
		w.found, w.reached = nil, false // the tunnel is down, and with it the way home
		time.Sleep(24 * time.Hour)
		r.opens(t, "first look", a)
		time.Sleep(24 * time.Hour)
		r.opens(t, "down for a day, nothing else leads home", a)
		r.restart(t)
		r.opens(t, "after a restart", a)
		w.found, w.reached = []isolate.Tunnel{a}, true
		r.opens(t, "back again", a)
		w.found = nil // another way leads home
		time.Sleep(9 * time.Minute)
		r.opens(t, "gone for a moment", a)
		time.Sleep(2 * time.Minute)
		st = r.opens(t, "not needed any more")
		if len(st.Drift) != 0 || len(st.Moved) != 1 || !strings.Contains(st.Moved[0], "closed udp 192.0.2.1") {
			t.Errorf("drift %q, moved %q", st.Drift, st.Moved)
		}
		w.found = []isolate.Tunnel{b}
		if st = r.opens(t, "another tunnel", b); len(st.Drift) != 0 || len(st.Moved) != 1 || !strings.Contains(st.Moved[0], "opened udp 2001:db8::7") {
			t.Errorf("drift %q, moved %q", st.Drift, st.Moved)
		}
		w.hang = true
		r.opens(t, "nobody knows", b)
		w.hang, w.found, w.reached = false, nil, false
		time.Sleep(31 * 24 * time.Hour)
		r.opens(t, "the last it was seen is long ago")
		if n := r.fw.Calls("restore"); n != 0 {
			t.Errorf("%d restores: there was a gap", n)
		}
	})
}

// Another tunnel is told with what was opened and since when, and as no tampering.
func TestChangedTunnelIsNoTampering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := tunnelTo("192.0.2.1"), tunnelTo("192.0.2.66")
		w := &paths{found: []isolate.Tunnel{a}, reached: true}
		r, told := newTold(t, w.config)
		began := time.Now()
		if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		r.opens(t, "as ever", a)
		w.found = []isolate.Tunnel{b}
		st := r.opens(t, "another one", a, b)
		got := told()
		if len(got) != 1 || got[0].Kind != isolate.HappenedTunnelChanged || len(got[0].Differences) != 1 || !strings.Contains(got[0].Differences[0], "opened udp 192.0.2.66") {
			t.Errorf("told %+v", got)
		}
		for i, want := range []time.Time{began, began.Add(time.Hour)} {
			if since := st.Policy.Tunnels[i].Since; !since.Equal(want) {
				t.Errorf("%s is open since %s, not %s", st.Policy.Tunnels[i], since, want)
			}
		}
		time.Sleep(time.Minute)
		if st = r.opens(t, "looked at again", a, b); !st.Policy.Tunnels[1].Since.Equal(began.Add(time.Hour)) || len(st.Moved) != 0 {
			t.Errorf("%+v, %q", st.Policy.Tunnels, st.Moved)
		}
		r.fw.Damage() // and somebody touches the rules
		r.opens(t, "damaged", a, b)
		wantTold(t, told(), isolate.HappenedDrift)
	})
}

// A tunnel that somebody makes while isolated is no door for long: what does not lead to
// the collector is closed, and tried again only now and then.
func TestTunnelMustProveItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := tunnelTo("192.0.2.1"), tunnelTo("192.0.2.66")
		w := &paths{found: []isolate.Tunnel{a}, reached: true}
		r := newRig(t, w.config)
		if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		w.found, w.reached = []isolate.Tunnel{b}, false
		r.opens(t, "on trial", a, b)
		time.Sleep(time.Minute)
		r.opens(t, "on trial", a, b)
		time.Sleep(time.Minute)
		r.opens(t, "refused", a)
		open := time.Duration(0)
		for range 60 * 6 { // an hour
			st, _ := r.Reconcile(t.Context())
			if len(st.Policy.Tunnels) == 2 {
				open += 10 * time.Second
			}
			time.Sleep(10 * time.Second)
		}
		if open == 0 || open > 12*time.Minute {
			t.Errorf("open for %v of an hour", open)
		}
		w.reached = true
		for range 6 * 15 {
			_, _ = r.Reconcile(t.Context())
			time.Sleep(10 * time.Second)
		}
		r.opens(t, "it leads home, and the first is not needed any more", b)
		w.found, w.reached = nil, false
		r.restart(t)
		time.Sleep(time.Hour)
		r.opens(t, "it has led home once", b)
		// Full isolation has none, and nobody is asked.
		asked := w.asked
		full := order("cmd_2")
		full.Policy.Mode, full.Until = isolate.Full, time.Now().Add(time.Hour)
		if st, err := r.Isolate(t.Context(), full); err != nil || len(st.Policy.Tunnels) != 0 || w.asked != asked {
			t.Errorf("%+v, %v", st, err)
		}
	})
}
