package trial

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hozen/agent/internal/isolate"
)

func TestVerdict(t *testing.T) {
	proven := result{sent: 1, refused: true, counted: true}
	with := func(change func(*result)) result {
		r := proven
		change(&r)
		return r
	}
	for _, tt := range []struct {
		name string
		r    result
		kind kind
		c    control
		want isolate.TrialOutcome
		why  string
	}{
		{"all three agree", proven, kindUDP, open, isolate.AsOrdered, ""},
		{"nothing refuses a TCP connection", with(func(r *result) { r.refused = false }), kindTCP, open, isolate.AsOrdered, ""},
		{"counted, but not refused", with(func(r *result) { r.refused = false }), kindUDP, open, isolate.NotShown, NoCounter},
		{"refused, but not counted", with(func(r *result) { r.counted = false }), kindUDP, open, isolate.NotShown, NoCounter},
		{"nothing sent", with(func(r *result) { r.sent = 0 }), kindTCP, open, isolate.NotShown, NoCounter},
		{"never open", proven, kindUDP, never, isolate.NotShown, NoControl},
		{"open long ago", proven, kindUDP, stale, isolate.NotShown, StaleControl},
		{"answered", with(func(r *result) { r.back = true }), kindUDP, open, isolate.Contrary, Answered},
		{"answered, never open before", with(func(r *result) { r.back = true }), kindUDP, never, isolate.Contrary, Answered},
		{"left", with(func(r *result) { r.left = true }), kindRaw, never, isolate.Contrary, Left},
		{"no rights", result{reason: NoRights}, kindRaw, never, isolate.NotShown, NoRights},
		{"no route", result{reason: NoAddress}, kindRaw, open, isolate.NotShown, NoAddress},
		{"no route, never open", result{reason: NoAddress}, kindRaw, never, isolate.NotShown, NoControl},
	} {
		if got, why := tt.r.verdict(tt.kind, tt.c); got != tt.want || why != tt.why {
			t.Errorf("%s: %s (%s), want %s (%s)", tt.name, got, why, tt.want, tt.why)
		}
	}
	for _, tt := range []struct {
		name  string
		r     result
		local bool
		c     control
		want  isolate.TrialOutcome
		why   string
	}{
		{"answers", result{back: true}, false, never, isolate.AsOrdered, ""},
		{"loopback is cut", result{}, true, never, isolate.Contrary, NoAnswer},
		{"was open", result{}, false, open, isolate.Contrary, NoAnswer},
		{"was never open", result{}, false, never, isolate.NotShown, NoControl},
		{"was open long ago", result{}, false, stale, isolate.NotShown, StaleControl},
		{"no IPv6", result{reason: NoAddress}, true, never, isolate.NotShown, NoAddress},
	} {
		if got, why := tt.r.passes(tt.local, tt.c); got != tt.want || why != tt.why {
			t.Errorf("%s: %s (%s), want %s (%s)", tt.name, got, why, tt.want, tt.why)
		}
	}
}

func TestRise(t *testing.T) {
	at := func(n uint64) []isolate.Drop {
		return []isolate.Drop{{Chain: "other", Packets: 99}, {Chain: "out", Packets: n}}
	}
	for _, tt := range []struct {
		before, after []isolate.Drop
		want          uint64
	}{
		{at(3), at(5), 2}, {at(5), at(5), 0},
		{at(5), at(3), 0},                // put in force anew
		{nil, at(3), 0}, {at(3), nil, 0}, // not read
	} {
		if got := rise("out", tt.before, tt.after); got != tt.want {
			t.Errorf("from %v to %v: %d, want %d", tt.before, tt.after, got, tt.want)
		}
	}
}

func addrs(ss ...string) (as []netip.Addr) {
	for _, s := range ss {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

func someScene() scene {
	eth0 := device{"eth0", 2, net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	tun0 := device{"tun0", 3, nil}
	return scene{
		devices: []device{eth0, tun0},
		gateways: []gateway{
			{netip.MustParseAddr("192.0.2.1"), eth0, net.HardwareAddr{2, 0, 0, 0, 0, 9}},
			{netip.MustParseAddr("10.8.0.1"), tun0, nil},
			{netip.MustParseAddr("fe80::1%eth0"), eth0, nil},
		},
		resolvers: addrs("192.0.2.53", "192.0.2.7", "2001:db8::53"),
		clocks:    addrs("192.0.2.123"),
		own:       addrs("fe80::7", "192.0.2.7", "2001:db8::7"),
	}
}

func TestWays(t *testing.T) {
	s := someScene()
	for _, tt := range []struct {
		kind kind
		name string
		six  bool
		want []string
	}{
		// 192.0.2.7 is this endpoint.
		{kindTCP, "tcp4", false, []string{"192.0.2.53:53", "192.0.2.1:53", "10.8.0.1:53"}},
		{kindTCP, "tcp6", true, []string{"[2001:db8::53]:53", "[fe80::1%eth0]:53"}},
		{kindUDP, "udp4", false, []string{"192.0.2.123:123", "192.0.2.1:33434", "10.8.0.1:33434", "192.0.2.53:53"}},
		{kindDNS, "dns6", true, []string{"[2001:db8::53]:53"}},
		{kindICMP, "icmp6", true, []string{"fe80::1%eth0"}},
		{kindRaw, "raw4", false, []string{"192.0.2.1 02:00:00:00:00:09 eth0"}},
		{kindBypass, "raw6_bypass", true, []string{"fe80::1 eth0"}},
		{kindLoopback, "loopback6", true, []string{"::1"}},
		{kindOwn, "own6", true, []string{"2001:db8::7"}},
	} {
		var got []string
		for _, w := range s.ways(tt.kind, tt.name, tt.six) {
			got = append(got, w.target())
			if w.name != tt.name || w.kind != tt.kind {
				t.Errorf("%s: %+v", tt.name, w)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if names := []string{nameOf("tcp", true), nameOf("raw_bypass", false)}; !slices.Equal(names, []string{"tcp6", "raw4_bypass"}) {
		t.Error(names)
	}
}

// What is tried is what was open, as long as it is the endpoint's; never anybody else.
func TestAmong(t *testing.T) {
	s := someScene()
	p := New(Config{})
	now := time.Now()
	for _, tt := range []struct {
		name   string
		open   []string
		age    time.Duration
		want   []string
		stands control
	}{
		{"dns4", []string{"192.0.2.53:53"}, time.Hour, []string{"192.0.2.53:53"}, open},
		{"dns4", []string{"192.0.2.53:53"}, 32 * 24 * time.Hour, []string{"192.0.2.53:53"}, stale},
		{"dns4", []string{"192.0.2.53:53"}, -time.Hour, []string{"192.0.2.53:53"}, open}, // the clock was set back
		{"dns4", []string{"198.51.100.1:53"}, time.Hour, []string{"192.0.2.53:53"}, stale},
		{"dns4", nil, time.Hour, []string{"192.0.2.53:53"}, never},
		{"raw6", []string{"fe80::1 02:00:00:00:00:08 eth0"}, time.Hour, []string{"fe80::1 02:00:00:00:00:08 eth0"}, open},
		{"raw6", []string{"fe80::1 02:00:00:00:00:08 eth1"}, time.Hour, []string{"fe80::1 eth0"}, stale},
		{"raw4", []string{"192.0.2.1 02:00:00:00:00:09 eth0"}, time.Hour, []string{"192.0.2.1 02:00:00:00:00:09 eth0"}, open},
		// Another gateway has taken the address.
		{"raw4", []string{"192.0.2.1 02:00:00:00:00:08 eth0"}, time.Hour, []string{"192.0.2.1 02:00:00:00:00:09 eth0"}, stale},
		{"raw6", []string{"fe80::1 nonsense eth0"}, time.Hour, []string{"fe80::1 eth0"}, stale},
	} {
		c := isolate.Controls{At: now.Add(-tt.age)}
		for _, target := range tt.open {
			c.Open = append(c.Open, isolate.Control{Name: tt.name, Target: target}, isolate.Control{Name: "other", Target: target})
		}
		k := map[string]kind{"dns4": kindDNS, "raw4": kindRaw, "raw6": kindRaw}[tt.name]
		var got []string
		for _, w := range among(c, tt.name, 3, s.ways(k, tt.name, tt.name == "raw6")) {
			got = append(got, w.target())
			if state := p.control(c, tt.name, w.target(), now); state != tt.stands {
				t.Errorf("%s, open %q: control %d, want %d", tt.name, tt.open, state, tt.stands)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s, open %q: %q, want %q", tt.name, tt.open, got, tt.want)
		}
	}
	if got := among(isolate.Controls{}, "dns4", 3, nil); got != nil {
		t.Errorf("nobody: %v", got)
	}
}

func TestPermitted(t *testing.T) {
	at := netip.MustParseAddrPort
	permit := func(network string, protocol isolate.Protocol, port uint16) isolate.Permit {
		return isolate.Permit{Network: netip.MustParsePrefix(network), Protocol: protocol, First: port, Last: port, ExpiresAt: time.Unix(1, 0)}
	}
	p := isolate.Policy{
		Mode: isolate.Selective, Collectors: []netip.AddrPort{at("192.0.2.53:53")},
		Permits: []isolate.Permit{permit("198.51.100.0/24", isolate.UDP, 53), permit("198.51.100.9/32", isolate.TCP, 443), permit("2001:db8::9/128", isolate.TCP, 443)},
	}.Clean()
	marked := p
	marked.Mark = 1
	for _, tt := range []struct {
		p    isolate.Policy
		w    way
		want bool
	}{
		{p, way{kind: kindTCP, to: at("192.0.2.53:53")}, true},
		{marked, way{kind: kindTCP, to: at("192.0.2.53:53")}, false},
		{p, way{kind: kindDNS, to: at("192.0.2.53:53")}, false},
		{p, way{kind: kindDNS, to: at("198.51.100.1:53")}, true},
		{marked, way{kind: kindUDP, to: at("198.51.100.1:53")}, true},
		{p, way{kind: kindTCP, to: at("198.51.100.1:53")}, false},
		{p, way{kind: kindICMP, to: at("198.51.100.1:0")}, false},
		{p, way{kind: kindRaw, to: at("198.51.100.9:443")}, false},
	} {
		if got := permitted(tt.p, tt.w); got != tt.want {
			t.Errorf("kind %d to %v: %v", tt.w.kind, tt.w.to, got)
		}
	}
	var got []string
	for _, w := range permits(p, scene{}) {
		got = append(got, w.name+" "+w.target())
	}
	if want := []string{"permit4 198.51.100.9:443", "permit6 [2001:db8::9]:443"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if ws := permits(p, scene{own: addrs("198.51.100.9", "2001:db8::9")}); len(ws) != 0 {
		t.Errorf("this endpoint itself: %v", ws)
	}
}
