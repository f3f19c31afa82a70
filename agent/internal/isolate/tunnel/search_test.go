package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hozen/agent/internal/isolate"
)

// fake is a kernel with routes by longest prefix, which may depend on the mark.
type fake struct {
	routes []fakeRoute
	links  map[uint32]link
	wg     map[uint32]peers
	tuns   map[string]held
	asked  int
}

type fakeRoute struct {
	to   string
	mark uint32 // 0: any
	link uint32
}

func (f *fake) route(t towards) (route, error) {
	f.asked++
	best, bits := route{}, -1
	for _, r := range f.routes {
		if n := netip.MustParsePrefix(r.to); n.Contains(t.to) && (r.mark == 0 || r.mark == t.mark) && n.Bits() > bits {
			best, bits = route{link: r.link}, n.Bits()
		}
	}
	if bits < 0 {
		return route{}, errNoRoute
	}
	return best, nil
}

func (f *fake) link(index uint32) (link, error) {
	l, ok := f.links[index]
	if !ok {
		return l, errors.New("no such device")
	}
	l.index = index
	return l, nil
}

func (f *fake) wireGuard(index uint32) (peers, error) { return f.wg[index], nil }
func (f *fake) held(name string) (held, error)        { return f.tuns[name], nil }

func at(s string) netip.Addr { return netip.MustParseAddr(s) }

const agentMark = 7

func look(f *fake, collectors ...string) (ways []string, limits string) {
	p := isolate.Policy{Mark: agentMark}
	for _, c := range collectors {
		p.Collectors = append(p.Collectors, netip.MustParseAddrPort(c))
	}
	found, ls := find(context.Background(), f, p)
	for _, w := range found {
		ways = append(ways, w.String()+" "+w.Link)
	}
	return ways, strings.Join(ls, "\n")
}

func TestSearch(t *testing.T) {
	eth := link{name: "eth0"}
	fixed := func(kind, remote string) link {
		return link{name: kind + "0", kind: kind, outer: outer{remote: at(remote), port: 4789}}
	}
	with := func(l link, change func(*link)) link { change(&l); return l }
	out := []fakeRoute{{"0.0.0.0/0", 0, 1}, {"::/0", 0, 1}, {"10.0.0.0/8", 0, 2}, {"fd00::/8", 0, 2}}
	for name, tt := range map[string]struct {
		f      fake
		to     []string
		ways   []string
		limits string
	}{
		"no tunnel":       {f: fake{routes: out, links: map[uint32]link{1: eth, 2: eth}}, to: []string{"10.1.1.1:443"}},
		"no route":        {to: []string{"10.1.1.1:443"}},
		"ipip":            {f: fake{routes: out, links: map[uint32]link{1: eth, 2: fixed("ipip", "192.0.2.1")}}, to: []string{"10.1.1.1:443"}, ways: []string{"protocol 4 192.0.2.1 ipip0"}},
		"IPv6 in sit":     {f: fake{routes: out, links: map[uint32]link{1: eth, 2: fixed("sit", "192.0.2.1")}}, to: []string{"[fd00::1]:443"}, ways: []string{"protocol 41 192.0.2.1 sit0"}},
		"IPv4 in ip6tnl":  {f: fake{routes: out, links: map[uint32]link{1: eth, 2: fixed("ip6tnl", "2001:db8::1")}}, to: []string{"10.1.1.1:443"}, ways: []string{"protocol 4 2001:db8::1 ip6tnl0"}},
		"gretap":          {f: fake{routes: out, links: map[uint32]link{1: eth, 2: fixed("gretap", "192.0.2.1")}}, to: []string{"10.1.1.1:443"}, ways: []string{"protocol 47 192.0.2.1 gretap0"}},
		"vxlan":           {f: fake{routes: out, links: map[uint32]link{1: eth, 2: fixed("vxlan", "192.0.2.1")}}, to: []string{"10.1.1.1:443"}, ways: []string{"udp 192.0.2.1 port 4789 vxlan0"}},
		"multicast vxlan": {f: fake{routes: out, links: map[uint32]link{1: eth, 2: fixed("vxlan", "239.1.1.1")}}, to: []string{"10.1.1.1:443"}, limits: "without one other end"},
		"metadata":        {f: fake{routes: out, links: map[uint32]link{1: eth, 2: with(fixed("gre", "192.0.2.1"), func(l *link) { l.extern = true })}}, to: []string{"10.1.1.1:443"}, limits: "packet by packet"},
		"in UDP besides":  {f: fake{routes: out, links: map[uint32]link{1: eth, 2: with(fixed("ipip", "192.0.2.1"), func(l *link) { l.encap = true })}}, to: []string{"10.1.1.1:443"}, limits: "wrapped in UDP"},
		"carried elsewhere": {f: fake{routes: out, links: map[uint32]link{1: eth, 2: with(fixed("ipip", "192.0.2.1"), func(l *link) { l.elsewhere = true })}},
			to: []string{"10.1.1.1:443"}},
		"IPsec":      {f: fake{routes: out, links: map[uint32]link{1: eth, 2: {name: "ipsec0", kind: "xfrm"}}}, to: []string{"10.1.1.1:443"}, limits: "IPsec is not worked out"},
		"VLAN in it": {f: fake{routes: out, links: map[uint32]link{1: eth, 2: {name: "v5", kind: "vlan", lower: 3}, 3: fixed("vxlan", "192.0.2.1")}}, to: []string{"10.1.1.1:443"}, ways: []string{"udp 192.0.2.1 port 4789 vxlan0"}},
		"itself":     {f: fake{routes: []fakeRoute{{"0.0.0.0/0", 0, 2}}, links: map[uint32]link{2: fixed("ipip", "192.0.2.1")}}, to: []string{"10.1.1.1:443"}, ways: []string{"protocol 4 192.0.2.1 ipip0"}, limits: "carried by itself"},
		"one in another": {
			f: fake{routes: append(out[:4:4], fakeRoute{"192.0.2.1/32", 0, 3}, fakeRoute{"198.51.100.1/32", 0, 1}),
				links: map[uint32]link{1: eth, 2: fixed("vxlan", "192.0.2.1"), 3: fixed("gre", "198.51.100.1")}},
			to: []string{"10.1.1.1:443"}, ways: []string{"udp 192.0.2.1 port 4789 vxlan0", "protocol 47 198.51.100.1 gre0"},
		},
		"WireGuard, default route by mark": {
			f: fake{routes: []fakeRoute{{"0.0.0.0/0", 0, 2}, {"203.0.113.0/24", 51820, 1}}, links: map[uint32]link{1: eth, 2: {name: "wg0", kind: "wireguard"}},
				wg: map[uint32]peers{2: {mark: 51820, all: []peer{
					{endpoint: netip.MustParseAddrPort("203.0.113.9:51820"), allowed: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
					{endpoint: netip.MustParseAddrPort("203.0.113.7:51821"), allowed: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}},
				}}}},
			to: []string{"10.1.1.1:443"}, ways: []string{"udp 203.0.113.7 port 51821 wg0"},
		},
		"WireGuard without a peer":       {f: fake{routes: out, links: map[uint32]link{2: {name: "wg0", kind: "wireguard"}}}, to: []string{"10.1.1.1:443"}, limits: "no peer for it"},
		"WireGuard, peer never heard of": {f: fake{routes: out, links: map[uint32]link{2: {name: "wg0", kind: "wireguard"}}, wg: map[uint32]peers{2: {all: []peer{{allowed: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}}}}, to: []string{"10.1.1.1:443"}, limits: "where the peer is, is not known"},
		"a program, with a connection inside": {
			f: fake{routes: append(out[:4:4], fakeRoute{"192.0.2.9/32", 0, 1}), links: map[uint32]link{1: eth, 2: {name: "tun0", kind: "tun"}},
				tuns: map[string]held{"tun0": {holders: []string{"vpn"}, flows: []flow{
					{protocol: 6, remote: netip.MustParseAddrPort("192.0.2.9:443")}, {protocol: 6, remote: netip.MustParseAddrPort("10.9.9.9:22")},
				}}}},
			to: []string{"10.1.1.1:443"}, ways: []string{"tcp 192.0.2.9 port 443 tun0"},
		},
		"a program that is idle": {f: fake{routes: out, links: map[uint32]link{2: {name: "tun0", kind: "tun"}}, tuns: map[string]held{"tun0": {holders: []string{"vpn"}}}}, to: []string{"10.1.1.1:443"}, limits: "connected with nobody"},
		"no program":             {f: fake{routes: out, links: map[uint32]link{2: {name: "tun0", kind: "tun"}}}, to: []string{"10.1.1.1:443"}, limits: "no process"},
	} {
		t.Run(name, func(t *testing.T) {
			ways, limits := look(&tt.f, tt.to...)
			if !slices.Equal(ways, tt.ways) {
				t.Errorf("ways %q, want %q", ways, tt.ways)
			}
			if tt.limits == "" && limits != "" || !strings.Contains(limits, tt.limits) {
				t.Errorf("limits %q, want %q", limits, tt.limits)
			}
		})
	}
}

// Tunnels in tunnels come to an end, and so do many of them side by side.
func TestSearchIsBounded(t *testing.T) {
	f := fake{links: map[uint32]link{}}
	for i := range 100 {
		f.routes = append(f.routes, fakeRoute{fmt.Sprintf("10.0.%d.0/24", i), 0, uint32(i + 1)})
		f.links[uint32(i+1)] = link{name: fmt.Sprint("gre", i), kind: "vxlan", outer: outer{remote: at(fmt.Sprintf("10.0.%d.1", i+1)), port: 1}}
	}
	var all []string
	for i := range 50 {
		all = append(all, fmt.Sprintf("10.0.%d.1:443", i))
	}
	ways, limits := look(&f, all[0])
	if !strings.Contains(limits, "more than 4 tunnels") || len(ways) > isolate.TunnelsMax || f.asked > 1<<depthMax {
		t.Errorf("%d ways, %d questions, limits %q", len(ways), f.asked, limits)
	}
	if ways, limits = look(&f, all...); len(ways) > isolate.TunnelsMax || strings.Count(limits, "\n") >= limitsMax {
		t.Errorf("%d ways, limits %q", len(ways), limits)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if found, limits := find(ctx, &f, isolate.Policy{Collectors: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:1")}}); len(found) != 0 || len(limits) != 1 {
		t.Errorf("%v, %q", found, limits)
	}
}
