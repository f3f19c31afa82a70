package isolate_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

func permitFor(network string, end time.Time) isolate.Permit {
	return isolate.Permit{Network: netip.MustParsePrefix(network), Protocol: isolate.TCP, First: 443, Last: 443, Reason: "why", ExpiresAt: end}
}

// selective is an order with permits of PolicyA's collectors.
func selective(id string, ps ...isolate.Permit) isolate.Request {
	r := order(id)
	r.Policy.Mode, r.Policy.Permits = isolate.Selective, ps
	return r
}

// What is wrong with an order is said, and nothing of it is done.
func TestOrdersThatAreRefused(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	with := func(change func(*isolate.Permit)) isolate.Request {
		p := permitFor("192.0.2.0/24", soon)
		change(&p)
		return selective("cmd_1", p)
	}
	full := isolate.Request{CommandID: "cmd_1", Policy: isolatetest.PolicyFull()}
	past, code := full, full
	past.Until = time.Now().Add(-time.Second)
	code.Code = &isolate.ReleaseCode{Number: "123456789012", Hash: make([]byte, 31), Salt: make([]byte, 16), Iterations: 1}
	for name, r := range map[string]isolate.Request{
		"everybody":             with(func(p *isolate.Permit) { p.Network = netip.MustParsePrefix("0.0.0.0/0") }),
		"half of the Internet":  with(func(p *isolate.Permit) { p.Network = netip.MustParsePrefix("128.0.0.0/7") }),
		"all of IPv6":           with(func(p *isolate.Permit) { p.Network = netip.MustParsePrefix("2000::/31") }),
		"IPv4 in IPv6's form":   with(func(p *isolate.Permit) { p.Network = netip.MustParsePrefix("::ffff:0:0/96") }),
		"nobody":                with(func(p *isolate.Permit) { p.Network = netip.Prefix{} }),
		"multicast":             with(func(p *isolate.Permit) { p.Network = netip.MustParsePrefix("224.0.0.0/24") }),
		"without an end":        with(func(p *isolate.Permit) { p.ExpiresAt = time.Time{} }),
		"port 0":                with(func(p *isolate.Permit) { p.First = 0 }),
		"ports backwards":       with(func(p *isolate.Permit) { p.Last = 442 }),
		"another protocol":      with(func(p *isolate.Permit) { p.Protocol = "sctp" }),
		"a mode of tomorrow":    {CommandID: "cmd_1", Policy: isolate.Policy{Mode: "open", Collectors: isolatetest.PolicyA().Collectors}},
		"permits in standard":   {CommandID: "cmd_1", Policy: isolate.Policy{Collectors: isolatetest.PolicyA().Collectors, Permits: with(func(*isolate.Permit) {}).Policy.Permits}},
		"full without way back": full,
		"until a time gone by":  past,
		"a code that is none":   code,
		"65 permits": selective("cmd_1", func() (ps []isolate.Permit) {
			for range 65 {
				ps = append(ps, permitFor("192.0.2.0/24", soon))
			}
			return ps
		}()...),
	} {
		t.Run(name, func(t *testing.T) {
			m := newRig(t)
			st, err := m.Isolate(t.Context(), r)
			if err == nil || m.fw.Calls("apply") != 0 {
				t.Errorf("%+v, %v", st, err)
			}
			if name == "full without way back" && !errors.Is(err, isolate.ErrNoWayBack) {
				t.Errorf("got %v, want ErrNoWayBack", err)
			}
			want(t, st, isolate.Released, isolate.Released, "")
			if _, err := m.store.Load(); !errors.Is(err, isolate.ErrNoRecord) {
				t.Errorf("something was recorded: %v", err)
			}
		})
	}
	for _, ok := range []isolate.Request{
		selective("cmd_1"), with(func(p *isolate.Permit) { p.Network = netip.MustParsePrefix("10.0.0.0/8") }),
		with(func(p *isolate.Permit) { p.Network = netip.MustParsePrefix("2001:db8::/32") }),
		with(func(p *isolate.Permit) { p.ExpiresAt = time.Now().Add(-time.Hour) }), // a standing order that came late
	} {
		m := newRig(t)
		if st, err := m.Isolate(t.Context(), ok); err != nil || st.Policy.Mode != isolate.Selective {
			t.Errorf("%+v: %v", ok, err)
		}
	}
}

// Permits are edited by another order, and end one by one without a gap in the rules.
func TestPermitsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := newTold(t)
		begin := time.Now()
		a, b := permitFor("192.0.2.0/24", begin.Add(time.Minute)), permitFor("198.51.100.0/24", begin.Add(time.Hour))
		if st, err := r.Isolate(t.Context(), selective("cmd_1", a)); err != nil || len(st.Policy.Permits) != 1 {
			t.Fatalf("%+v, %v", st, err)
		}
		if st, err := r.Isolate(t.Context(), selective("cmd_2", a, b)); err != nil || len(st.Policy.Permits) != 2 {
			t.Fatalf("%+v, %v", st, err)
		}
		restores := r.fw.Calls("restore")
		time.Sleep(59 * time.Second)
		r.clock.Set(-time.Hour) // keeps no permit open
		reconcile(t, r, isolate.Isolated)
		if p, _ := r.fw.InForce(); len(p.Permits) != 2 {
			t.Errorf("%+v", p)
		}
		time.Sleep(time.Second)
		st := reconcile(t, r, isolate.Isolated)
		if p, whole := r.fw.InForce(); len(p.Permits) != 1 || !whole || len(st.Policy.Permits) != 1 || len(st.Drift) != 0 {
			t.Errorf("in force %+v, status %+v", p, st)
		}
		if got := told(); len(got) != 1 || got[0].Kind != isolate.HappenedPermitEnded || len(got[0].Differences) != 1 || got[0].Status.Observed != isolate.Isolated {
			t.Errorf("told %+v", got)
		}
		// Neither saying it again nor a restart brings it back.
		if st, err := r.Isolate(t.Context(), selective("cmd_2", a, b)); err != nil || len(st.Policy.Permits) != 1 {
			t.Errorf("%+v, %v", st, err)
		}
		r.restart(t)
		if st := reconcile(t, r, isolate.Isolated); len(st.Policy.Permits) != 1 {
			t.Errorf("%+v", st)
		}
		r.clock.Set(3 * time.Hour) // ends all, which is the safe side
		if st := reconcile(t, r, isolate.Isolated); len(st.Policy.Permits) != 0 {
			t.Errorf("%+v", st)
		}
		if n := r.fw.Calls("restore"); n != restores {
			t.Errorf("%d restores: there was a gap", n-restores)
		}
	})
}

// What is rolled back to does not open what has ended meanwhile.
func TestRollBackToPermitsThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := false
		r := homeward(t, &open)
		if _, err := r.Isolate(t.Context(), selective("cmd_1", permitFor("192.0.2.0/24", time.Now().Add(90*time.Second)))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := r.Isolate(t.Context(), confirmed("cmd_2", isolate.RollBack)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		st := reconcile(t, r, isolate.Isolated)
		if p, _ := r.fw.InForce(); st.CommandID != "cmd_1" || len(p.Permits) != 0 {
			t.Errorf("in force %+v, status %+v", p, st)
		}
	})
}

// An edit has the connections ended that it no longer allows, and a full disk does not
// keep a permit open.
func TestPermitEndsOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cs := &severing{}
		r := newRig(t, func(c *isolate.Config) { c.Connections = cs })
		if _, err := r.Isolate(t.Context(), selective("cmd_1", permitFor("192.0.2.0/24", time.Now().Add(time.Minute)))); err != nil {
			t.Fatal(err)
		}
		r.store.Next = func() isolatetest.Fault { return isolatetest.FailBefore }
		time.Sleep(time.Minute)
		st, err := r.Reconcile(t.Context())
		if err != nil || len(st.Policy.Permits) != 0 || st.Persisted {
			t.Errorf("%+v, %v", st, err)
		}
		if p, _ := r.fw.InForce(); len(p.Permits) != 0 {
			t.Errorf("in force %+v", p)
		}
		if n := len(cs.policies); n != 2 || len(cs.policies[0].Permits) != 1 || len(cs.policies[1].Permits) != 0 {
			t.Errorf("severed for %+v", cs.policies)
		}
	})
}

// Full mode has no way home, and none is tried or missed.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *isolate.Config) {
			c.WayHome = func(context.Context) error { panic("tried") }
		})
		o := isolate.Request{CommandID: "cmd_1", Policy: isolatetest.PolicyA(), Until: time.Now().Add(time.Hour)}
		o.Policy.Mode = isolate.Full
		st, err := r.Isolate(t.Context(), o)
		if err != nil || st.WayHome != nil || st.Policy.Mode != isolate.Full || len(st.Policy.Collectors) != 0 {
			t.Errorf("%+v, %v", st, err)
		}
		reconcile(t, r, isolate.Isolated)
		o.CommandID, o.Within = "cmd_2", time.Minute
		if _, err := r.Isolate(t.Context(), o); err == nil {
			t.Error("confirmation by a way home that is cut")
		}
		time.Sleep(time.Hour)
		reconcile(t, r, isolate.Released)
	})
}
