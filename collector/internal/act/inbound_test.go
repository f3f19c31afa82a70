package act_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/internal/artifact"
	"hozen/internal/capability"
	"hozen/internal/id"
)

const pcAddr = "192.0.2.50"

// wire is what the collector finds at the addresses that it tries, one answer after the other.
type wire struct {
	answers []bool
	err     error
	tried   []netip.AddrPort
	during  func(n int) // while the nth is tried, from 1
}

func (w *wire) dial(_ context.Context, to netip.AddrPort) (bool, error) {
	w.tried = append(w.tried, to)
	n := len(w.tried)
	if w.during != nil {
		w.during(n)
	}
	if w.err != nil {
		return false, w.err
	}
	return w.answers[n-1], nil
}

// What the collector tries itself counts only where it sees the PC itself and something
// answered before the cut; an answer afterwards never does as a whole isolation.
func TestCollectorTriesFromOutside(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		o := newOffice(t, x)
		p := o.keiri.endpoint.ID
		o.keiri.change = func(a *evidencetest.Acquisition) {
			a.Add(t, artifact.KindNetConfig, []byte(`{"type":"neighbour","address":"198.51.100.1"}`+"\n"+`{"type":"address","family":"inet","address":"`+pcAddr+`/24"}`+"\n"), 2)
		}
		o.keiri.send("volatile", captured())
		d := described()
		d.Capability = uint32(capability.Current)
		ok(t, x.EndpointConnected(ctx, p, d, pcAddr))
		_, _, leave := x.hub.SubscribeEndpoint(p)
		defer leave()
		// says stores what the endpoint says of its isolation.
		says := func(s endpoint.State, c dispatch.Command) {
			t.Helper()
			x.clock = x.clock.Add(time.Second)
			i := measured(s, x.clock)
			i.CommandID, i.More.Mode, i.More.Drill = c.ID, string(c.Isolation.Mode), c.Isolation.Drill
			ok(t, x.EndpointIsolation(ctx, p, i))
		}
		permit := dispatch.Permit{Network: netip.MustParsePrefix("203.0.113.0/24"), Protocol: "tcp", First: 443, Last: 443, Reason: "受注", ExpiresAt: x.clock.Add(24 * time.Hour)}
		leaks := func() int {
			n := 0
			for _, a := range x.acts(p) {
				if a == endpoint.ActEvent {
					n++
				}
			}
			return n
		}
		for _, c := range []struct {
			name   string
			order  dispatch.Isolation
			remote string
			own    bool
			wire   wire
			early  bool // the endpoint is isolated before the try before it is over
			want   string
			dials  int
			state  endpoint.State
		}{
			{name: "a drill", order: dispatch.Isolation{Drill: true}, state: endpoint.Isolated},
			{name: "open, then silent", wire: wire{answers: []bool{true, false}}, want: "as_ordered", dials: 2, state: endpoint.Isolated},
			{name: "open, then open", wire: wire{answers: []bool{true, true}}, want: "contrary answered", dials: 2, state: endpoint.Failed},
			{name: "never open", wire: wire{answers: []bool{false, false}}, want: "unknown no_control", dials: 2, state: endpoint.Isolated},
			{name: "open only through the isolation", wire: wire{answers: []bool{false, true}}, want: "contrary answered", dials: 2, state: endpoint.Failed},
			{name: "cut while it is tried", early: true, wire: wire{answers: []bool{true, false}}, want: "as_ordered", dials: 2, state: endpoint.Isolated},
			{name: "no network", wire: wire{err: errors.New("network is unreachable")}, want: "unknown error", dials: 2, state: endpoint.Isolated},
			{name: "a router between", remote: "198.51.100.1", want: "unknown unseen", state: endpoint.Isolated},
			{name: "the same machine", remote: "127.0.0.1", want: "unknown unseen", state: endpoint.Isolated},
			{name: "the collector's own address", own: true, want: "unknown unseen", state: endpoint.Isolated},
			{name: "a permit", order: dispatch.Isolation{Mode: dispatch.Selective, Permits: []dispatch.Permit{permit}}, want: "unknown permits", state: endpoint.Isolated},
			{name: "full", order: dispatch.Isolation{Mode: dispatch.Full}, state: endpoint.Isolated},
		} {
			x.clock, x.own = x.clock.Add(time.Hour), c.own
			says(endpoint.Released, dispatch.Command{})
			before := leaks()
			order := act.Order{Isolation: c.order}
			if !c.order.Drill {
				order.IncidentID = o.incident
			}
			cmd, err := x.Isolate(ctx, x.owner, p, order)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			w := c.wire
			if c.early {
				w.during = func(n int) {
					if n == 1 {
						says(endpoint.Isolated, cmd)
					}
				}
			}
			x.TryInbound(w.dial)
			remote := c.remote
			if remote == "" {
				remote = pcAddr
			}
			for range 2 { // a stream that broke sends it again
				x.CommandSends(p, remote, cmd)
				x.InboundTried(p)
			}
			for range 2 {
				says(endpoint.Isolated, cmd)
				x.InboundTried(p)
			}
			e, err := x.Endpoint(ctx, x.owner, p)
			ok(t, err)
			got := ""
			for _, tr := range e.Isolation.More.Trials {
				if tr.Name != endpoint.InboundTCP4 {
					t.Errorf("%s: trial %q", c.name, tr.Name)
				}
				got = strings.TrimSpace(fmt.Sprint(tr.Outcome, " ", tr.Reason))
			}
			if got != c.want || len(w.tried) != c.dials || e.Isolation.Observed != c.state {
				t.Errorf("%s: %q after %d tries, %s; want %q after %d, %s", c.name, got, len(w.tried), e.Isolation.Observed, c.want, c.dials, c.state)
			}
			if len(w.tried) == 2 && (w.tried[0] != w.tried[1] || w.tried[0].Addr().String() != pcAddr || w.tried[0].Port() < 49152) {
				t.Errorf("%s: tried %v", c.name, w.tried)
			}
			told := leaks() - before
			if leak := c.state == endpoint.Failed; leak && told != 1 || !leak && told != 0 {
				t.Errorf("%s: %d entries in the ledger", c.name, told)
			}
			if leak := slices.Contains(e.Shown(x.clock).Notes, endpoint.NoteLeak); leak != (c.state == endpoint.Failed) {
				t.Errorf("%s: leak noted: %v", c.name, leak)
			}
			says(endpoint.Released, cmd)
			if e, err := x.Endpoint(ctx, x.owner, p); err != nil || len(e.Isolation.More.Trials) > 0 || e.Isolation.Observed != endpoint.Released {
				t.Errorf("%s: released: %+v, %v", c.name, e.Isolation, err)
			}
		}
		if k := x.kinds(o.incident); strings.Count(k, "isolation_event") != 2 {
			t.Errorf("timeline: %s", k)
		}

		// What a release opens while it is tried is no leak.
		says(endpoint.Released, dispatch.Command{})
		x.clock, x.own = x.clock.Add(time.Hour), false
		cmd, err := x.Isolate(ctx, x.owner, p, act.Order{IncidentID: o.incident})
		ok(t, err)
		before := leaks()
		w := wire{answers: []bool{true, true}, during: func(n int) {
			if n == 2 {
				if _, err := x.Release(ctx, x.owner, p, act.Order{}); err != nil {
					t.Error(err)
				}
			}
		}}
		x.TryInbound(w.dial)
		x.CommandSends(p, pcAddr, cmd)
		x.InboundTried(p)
		says(endpoint.Isolated, cmd)
		if tr := x.InboundTried(p); tr.Outcome != endpoint.NotShown || leaks() != before {
			t.Errorf("released meanwhile: %+v, %d entries", tr, leaks()-before)
		}

		// A restart forgets what was tried; what leaks is found again.
		again, err := act.New(act.Config{DB: x.db, CA: x.ca, Hub: x.hub, Blobs: x.blobs, OwnAddr: func(netip.Addr) bool { return false }, Now: func() time.Time { return x.clock }})
		ok(t, err)
		w = wire{answers: []bool{true}}
		again.TryInbound(w.dial)
		cmd, err = x.Isolate(ctx, x.owner, p, act.Order{IncidentID: o.incident})
		ok(t, err)
		x.clock = x.clock.Add(time.Minute)
		d.Isolation = measured(endpoint.Isolated, x.clock)
		d.Isolation.CommandID = cmd.ID
		ok(t, again.EndpointConnected(ctx, p, d, pcAddr))
		if tr := again.InboundTried(p); tr.Outcome != endpoint.Contrary {
			t.Errorf("after a restart: %+v", tr)
		}
	})
}

// Of a large group only the first are tried; nobody waits for the others.
func TestCollectorTriesFew(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		x.TryInbound(func(context.Context, netip.AddrPort) (bool, error) { return true, nil })
		ids := make([]string, 100)
		for n := range ids {
			ids[n] = id.New(id.Endpoint)
			x.CommandSends(ids[n], fmt.Sprintf("192.0.2.%d", n+1), dispatch.Command{ID: id.New(id.Command), Verb: dispatch.Isolate})
		}
		n := map[string]int{}
		for _, e := range ids {
			n[x.InboundTried(e).Reason]++
		}
		if n[endpoint.ReasonUnseen] != 32 || n[endpoint.ReasonNotTried] != 68 {
			t.Errorf("%v", n)
		}
		x.clock = x.clock.Add(time.Minute)
		x.CommandSends(ids[99], "192.0.2.100", dispatch.Command{ID: id.New(id.Command), Verb: dispatch.Isolate})
		if r := x.InboundTried(ids[99]).Reason; r != endpoint.ReasonUnseen {
			t.Errorf("a minute later: %q", r)
		}
	})
}

// An address is the endpoint's own only where it says so, however the collector writes it.
func TestNamesAddress(t *testing.T) {
	lines := "x\n" + `{"type":"route","address":"192.0.2.9/24"}` + "\n" + `{"type":"address","address":"192.0.2.1/24"}` + "\n" + `{"type":"address","address":"2001:db8::1/64"}` + "\n" + `{"type":"address","address":"192.0.2.7"}`
	for a, want := range map[string]bool{"192.0.2.1": true, "::ffff:192.0.2.1": true, "2001:db8::1": true, "2001:db8::1%eth0": true, "192.0.2.9": false, "192.0.2.7": false, "192.0.2.2": false} {
		if got, err := act.NamesAddress(t.Context(), strings.NewReader(lines), netip.MustParseAddr(a)); err != nil || got != want {
			t.Errorf("%s: %v, %v", a, got, err)
		}
	}
}
