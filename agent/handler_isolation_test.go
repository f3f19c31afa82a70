package main

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/id"
)

func selective() journal.Command {
	c := isolateOrder()
	until := time.Now().Add(time.Hour)
	c.Isolate = &journal.IsolateOrder{
		Mode: journal.ModeSelective, Until: until, ConfirmWithin: time.Minute, Fallback: journal.RollBack, Lease: time.Hour, Drill: true,
		Permits: []journal.Permit{
			{Network: "192.0.2.7/32", Protocol: journal.ProtocolTCP, First: 443, Last: 444, Reason: "更新", Host: "update.example", ExpiresAt: until},
			{Network: "2001:db8::/64", Protocol: journal.ProtocolUDP, First: 123, Last: 123, ExpiresAt: until},
		},
		Collectors: []string{"192.0.2.9:8443", "[2001:db8::9]:8443"},
		Code:       &journal.ReleaseCode{Number: "123456789012", Hash: make([]byte, 32), Salt: make([]byte, 16), Iterations: 100_000},
	}
	c.Notice = &journal.Notice{Text: "隔離中です", Phone: "03-1234-5678"}
	return c
}

// TestWholeOrder: everything that an order says reaches the manager, and the addresses
// that the agent knows are kept open besides.
func TestWholeOrder(t *testing.T) {
	a := isolating(t, &wall{})
	c := selective()
	r, err := a.request(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p := r.Policy.Clean()
	want := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8443"), netip.MustParseAddrPort("192.0.2.9:8443"), netip.MustParseAddrPort("[2001:db8::9]:8443")}
	if !slices.Equal(p.Collectors, want) || len(p.Permits) != 2 || p.Mode != isolate.Selective {
		t.Errorf("%+v", p)
	}
	if k := r.Policy.Permits[0]; k != (isolate.Permit{Network: netip.MustParsePrefix("192.0.2.7/32"), Protocol: isolate.TCP, First: 443, Last: 444, Reason: "更新", Host: "update.example", ExpiresAt: c.Isolate.Until}) {
		t.Errorf("%+v", k)
	}
	if r.CommandID != c.ID || r.Within != time.Minute || r.Else != isolate.RollBack || !r.Until.Equal(c.Isolate.Until) || r.Lease != time.Hour || !r.Drill ||
		r.Code == nil || r.Code.Number != "123456789012" || r.Code.Iterations != 100_000 || r.Notice.Phone != "03-1234-5678" {
		t.Errorf("%+v", r)
	}
	c.Isolate.Mode, c.Isolate.Permits, c.Isolate.ConfirmWithin = journal.ModeFull, nil, 0
	if r, err := a.request(t.Context(), c); err != nil || len(r.Policy.Clean().Collectors) != 0 {
		t.Errorf("full: %+v, %v", r, err)
	}
	c.Isolate = nil // an order of an earlier version
	if r, err := a.request(t.Context(), c); err != nil || r.Policy.Mode != isolate.Standard || r.Code != nil {
		t.Errorf("standard: %+v, %v", r, err)
	}
}

// TestOrdersThatMakeNoSense: nothing is done, not even the capture, and the answer says
// what is wrong.
func TestOrdersThatMakeNoSense(t *testing.T) {
	for want, change := range map[string]func(*journal.IsolateOrder){
		"is not a network":       func(o *journal.IsolateOrder) { o.Permits[0].Network = "192.0.2.7" },
		"behind its prefix":      func(o *journal.IsolateOrder) { o.Permits[0].Network = "192.0.2.7/24" },
		"ports 0 to 443":         func(o *journal.IsolateOrder) { o.Permits[0].First, o.Permits[0].Last = 0, 443 },
		"ports 1 to 70000":       func(o *journal.IsolateOrder) { o.Permits[0].First, o.Permits[0].Last = 1, 70000 },
		"permit 2":               func(o *journal.IsolateOrder) { o.Permits[1].First = 124 },
		"too wide":               func(o *journal.IsolateOrder) { o.Permits[0].Network = "0.0.0.0/0" },
		"protocol":               func(o *journal.IsolateOrder) { o.Permits[0].Protocol = "" },
		"no end":                 func(o *journal.IsolateOrder) { o.Permits[0].ExpiresAt = time.Time{} },
		"has no permits":         func(o *journal.IsolateOrder) { o.Mode = journal.ModeStandard },
		"is not an address":      func(o *journal.IsolateOrder) { o.Collectors = []string{"collector.example:8443"} },
		"nothing can be reached": func(o *journal.IsolateOrder) { o.Collectors = []string{"0.0.0.0:8443"} },
		"cannot be confirmed":    func(o *journal.IsolateOrder) { o.Mode, o.Permits = journal.ModeFull, nil },
		"nothing would lead back": func(o *journal.IsolateOrder) {
			*o = journal.IsolateOrder{Mode: journal.ModeFull}
		},
		"mode": func(o *journal.IsolateOrder) { o.Mode = "open"; o.Permits = nil },
	} {
		w := &wall{}
		a := isolating(t, w)
		c := selective()
		change(c.Isolate)
		r := handler{a}.Isolate(t.Context(), c)
		if r.Status != journal.Refused || !strings.Contains(r.Detail, want) || r.Isolation == nil || r.AcquisitionID != "" || len(w.steps) != 0 || len(a.spool.List()) != 0 {
			t.Errorf("%s: %+v, did %v, %d acquisitions", want, r, w.steps, len(a.spool.List()))
		}
	}
	a := isolating(t, &wall{})
	c := selective()
	c.Isolate.Until = time.Now().Add(-time.Minute)
	if r := (handler{a}).Isolate(t.Context(), c); r.Status != journal.Expired || len(a.spool.List()) != 0 {
		t.Errorf("until is over: %+v", r)
	}
}

// TestDrillOverEarnestIsRefused: nothing is done, and the answer says why.
func TestDrillOverEarnestIsRefused(t *testing.T) {
	w := &wall{}
	a := isolating(t, w)
	if r := (handler{a}).Isolate(t.Context(), isolateOrder()); r.Status != journal.Done {
		t.Fatalf("%+v", r)
	}
	taken, did := len(a.spool.List()), len(w.steps)
	r := handler{a}.Isolate(t.Context(), selective())
	if r.Status != journal.Refused || !strings.Contains(r.Detail, "no drill") || r.AcquisitionID != "" || len(a.spool.List()) != taken || len(w.steps) != did {
		t.Errorf("%+v, did %v, %d acquisitions more", r, w.steps[did:], len(a.spool.List())-taken)
	}
	if m := r.Isolation; m == nil || m.Drill || m.Observed != journal.StateIsolated {
		t.Errorf("%+v", m)
	}
}

// FuzzRequest: whatever an order holds, what is made of it is what it says or an error,
// and never more open than it says.
func FuzzRequest(f *testing.F) {
	f.Add("192.0.2.7/32", "tcp", uint32(443), uint32(444), "192.0.2.9:8443", "selective")
	f.Add("::ffff:192.0.2.7/128", "udp", uint32(1), uint32(65535), "[fe80::1%eth0]:1", "full")
	f.Add("0.0.0.0/0", "", uint32(0), uint32(1<<31), "", "")
	f.Fuzz(func(t *testing.T, network, protocol string, first, last uint32, collector, mode string) {
		c := journal.Command{ID: id.New(id.Command), Isolate: &journal.IsolateOrder{
			Mode: journal.Mode(mode), Permits: []journal.Permit{{Network: network, Protocol: protocol, First: first, Last: last, ExpiresAt: time.Now()}}, Collectors: []string{collector},
		}}
		r, err := requestOf(c)
		if err != nil {
			if refusal(err) != journal.Refused {
				t.Fatalf("%v is no reason to refuse", err)
			}
			return
		}
		p := r.Policy.Permits[0]
		if p.Network.String() != network || string(p.Protocol) != protocol || uint32(p.First) != first || uint32(p.Last) != last || p.First == 0 || p.Last < p.First {
			t.Fatalf("%q %q %d-%d became %s", network, protocol, first, last, p)
		}
		if at := r.Policy.Collectors[0]; at.Port() == 0 || at.Addr().Zone() != "" {
			t.Fatalf("%q became %s", collector, at)
		}
		if r.Policy.Check() == nil && !slices.Contains([]string{"", "standard", "selective", "full"}, mode) {
			t.Fatalf("mode %q is let pass", mode)
		}
	})
}

// TestMeasuredSaysEverything: what the manager measured stands in the status that is told.
func TestMeasuredSaysEverything(t *testing.T) {
	at := time.Now()
	tunnels := []isolate.Tunnel{{Address: netip.MustParseAddr("192.0.2.9"), Protocol: isolate.ProtocolUDP, Port: 51820, Link: "wg0", Why: "WireGuard device wg0", Since: at.Add(4)}}
	m := measured(isolate.Status{
		Desired: isolate.Isolated, Observed: isolate.Isolated, Policy: isolate.Policy{Mode: isolate.Selective, Tunnels: tunnels}, Capable: true, Persisted: true, Drill: true,
		Until: at, LeaseUntil: at.Add(1), Confirm: &isolate.Confirm{By: at, Else: isolate.RollBack, At: at.Add(2), Missed: at.Add(3)},
		Severed: &isolate.Severed{At: at, Took: 4, Destroyed: 5, Gone: 6, Failed: 7, Unsupported: true, Detail: "not all", List: slices.Repeat([]isolate.Connection{{
			Protocol: "tcp", Remote: netip.MustParseAddrPort("192.0.2.5:443"), PID: 4711, Process: "curl", StartTicks: 8, Started: at, Sent: 1, Received: 2, Outcome: "destroyed", NetNS: 3,
		}}, severedShown+1)},
		Trials:  []isolate.Trial{{Name: "tcp4", Outcome: isolate.Contrary, Reason: "answered", Target: "192.0.2.1:53", At: at, Dropped: 8}},
		WayHome: &isolate.WayHome{OK: true},
		Observation: isolate.Observation{
			MeasuredAt: at, Digest: strings.Repeat("ab", 32), Held: isolate.HeldHere, Limits: []string{"no egress hook"}, Drops: []isolate.Drop{{Packets: 9}},
		},
	})
	if m.Mode != journal.ModeSelective || !m.Capable || !m.Persisted || !m.Drill || !m.WayHome || !m.Until.Equal(at) || !m.LeaseUntil.Equal(at.Add(1)) ||
		m.Held != "here" || len(m.Limits) != 1 || m.DroppedPackets != 9 || m.RulesDigest == "" {
		t.Errorf("%+v", m)
	}
	if c := m.Confirmation; c == nil || *c != (journal.Confirmation{By: at, Fallback: journal.RollBack, ConfirmedAt: at.Add(2), MissedAt: at.Add(3)}) {
		t.Errorf("%+v", c)
	}
	if s := m.Severed; s == nil || !reflect.DeepEqual(*s, journal.Severed{At: at, Took: 4, Destroyed: 5, Gone: 6, Failed: 7, Unsupported: true, Detail: "not all", First: slices.Repeat([]string{
		`tcp 192.0.2.5:443 sent=1 received=2 destroyed pid=4711 "curl" started=` + at.Format(time.RFC3339) + ` net:[3]`,
	}, severedShown)}) {
		t.Errorf("%+v", s)
	}
	if len(m.Trials) != 1 || m.Trials[0] != (journal.Trial{Name: "tcp4", Outcome: journal.TrialContrary, Reason: "answered", Target: "192.0.2.1:53", At: at, Dropped: 8}) {
		t.Errorf("%+v", m.Trials)
	}
	if len(m.Tunnels) != 1 || m.Tunnels[0] != (journal.Tunnel{Address: "192.0.2.9", Protocol: 17, Port: 51820, Link: "wg0", Why: "WireGuard device wg0", Since: at.Add(4)}) {
		t.Errorf("%+v", m.Tunnels)
	}
	if m := measured(isolate.Status{Desired: isolate.Released, Policy: isolate.Policy{Mode: isolate.Full, Tunnels: tunnels}}); m.Mode != "" || len(m.Tunnels) != 0 {
		t.Errorf("released, and the mode is %q, open is %+v", m.Mode, m.Tunnels)
	}
}

// TestKindsAreTheSame: what the manager calls a happening is what the journal calls it.
func TestKindsAreTheSame(t *testing.T) {
	for h, want := range map[isolate.Kind]journal.EventKind{
		isolate.HappenedDrift: journal.EventDrift, isolate.HappenedNotInForce: journal.EventNotInForce, isolate.HappenedReleasedByCode: journal.EventReleasedByCode,
		isolate.HappenedCodeRefused: journal.EventCodeRefused, isolate.HappenedReleasedByTime: journal.EventReleasedByTime, isolate.HappenedRolledBack: journal.EventRolledBack,
		isolate.HappenedLeaseLapsed: journal.EventLeaseLapsed, isolate.HappenedRecordLost: journal.EventRecordLost, isolate.HappenedLeak: journal.EventLeak,
		isolate.HappenedReleasedByUninstall: journal.EventReleasedByUninstall, isolate.HappenedPermitEnded: journal.EventPermitEnded, isolate.HappenedTunnelChanged: journal.EventTunnelChanged,
		isolate.HappenedOthersRules: journal.EventOthersRules,
	} {
		if e := eventOf(isolate.Happening{Kind: h, Count: 2}); e.Kind != want || e.Count != 2 || id.Check(id.IsolationEvent, e.ID) != nil {
			t.Errorf("%s: %+v", h, e)
		}
	}
}

// TestNextLook: what ends by time is looked at when it ends, and otherwise as often as is
// set.
func TestNextLook(t *testing.T) {
	now := time.Now()
	const every = 5 * time.Second
	for name, c := range map[string]struct {
		st   isolate.Status
		want time.Duration
	}{
		"nothing ends":     {isolate.Status{}, every},
		"until":            {isolate.Status{Until: now.Add(time.Second)}, time.Second + lateLook},
		"later":            {isolate.Status{Until: now.Add(time.Hour)}, every},
		"just over":        {isolate.Status{Until: now.Add(-time.Second)}, soonLook},
		"long over":        {isolate.Status{Until: now.Add(-time.Hour)}, every},
		"lease":            {isolate.Status{LeaseUntil: now.Add(time.Second)}, time.Second + lateLook},
		"lapsed":           {isolate.Status{LeaseUntil: now.Add(-time.Second), LeaseLapsed: true}, every},
		"confirmation":     {isolate.Status{Confirm: &isolate.Confirm{By: now.Add(2 * time.Second)}}, 2*time.Second + lateLook},
		"confirmed":        {isolate.Status{Confirm: &isolate.Confirm{By: now.Add(2 * time.Second), At: now}}, every},
		"a permit":         {isolate.Status{Policy: isolate.Policy{Permits: []isolate.Permit{{ExpiresAt: now.Add(time.Hour)}, {ExpiresAt: now.Add(3 * time.Second)}}}}, 3*time.Second + lateLook},
		"the first of all": {isolate.Status{Until: now.Add(4 * time.Second), LeaseUntil: now.Add(2 * time.Second)}, 2*time.Second + lateLook},
	} {
		if got := nextLook(c.st, now, every); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestUntilIsKept: an isolation that a person ordered until then ends then, although the
// rules are read rarely, and it is told.
func TestUntilIsKept(t *testing.T) {
	w := &wall{}
	a := isolating(t, w)
	a.set.config.Isolation.CheckEvery.Duration = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.watchIsolation(ctx) }()
	c := isolateOrder()
	c.IsolateFirst = true
	c.Isolate = &journal.IsolateOrder{Mode: journal.ModeStandard, Until: time.Now().Add(500 * time.Millisecond)}
	if r := (handler{a}).Isolate(t.Context(), c); r.Status != journal.Done || r.Isolation.Until.IsZero() {
		t.Fatalf("%+v", r)
	}
	await(t, "release by time", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !w.closed
	})
	await(t, "the event", func() bool {
		e := a.journal.Events()
		return len(e) == 1 && e[0].Kind == journal.EventReleasedByTime && e[0].CommandID == c.ID && e[0].Isolation.Observed == journal.StateReleased
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
