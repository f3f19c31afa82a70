package tunnel

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	nl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/internal/netlab"
)

// tunnelsOfKernel are the tunnels that need no program.
func tunnelsOfKernel() map[string]func(netlab.Addrs, netlab.Addrs) nl.Link {
	name := nl.LinkAttrs{Name: "t0"}
	return map[string]func(a, b netlab.Addrs) nl.Link{
		"vxlan over IPv4": func(a, b netlab.Addrs) nl.Link { return vxlan(a.V4, b.V4) },
		"vxlan over IPv6": func(a, b netlab.Addrs) nl.Link { return vxlan(a.V6, b.V6) },
		"ipip and sit": func(a, b netlab.Addrs) nl.Link {
			return &nl.Sittun{LinkAttrs: name, Local: a.V4.AsSlice(), Remote: b.V4.AsSlice()}
		},
		"ip6tnl": func(a, b netlab.Addrs) nl.Link {
			return &nl.Ip6tnl{LinkAttrs: name, Local: a.V6.AsSlice(), Remote: b.V6.AsSlice()}
		},
		"gre": func(a, b netlab.Addrs) nl.Link {
			return &nl.Gretun{LinkAttrs: name, Local: a.V4.AsSlice(), Remote: b.V4.AsSlice()}
		},
		"geneve": func(_, b netlab.Addrs) nl.Link {
			return &nl.Geneve{LinkAttrs: name, ID: 7, Dport: 6081, Remote: b.V4.AsSlice()}
		},
	}
}

// A collector behind a tunnel is reached while isolated, and nobody else is.
func TestCollectorBehindATunnel(t *testing.T) {
	for name, lay := range tunnelsOfKernel() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			device(t, l.PC, lay(l.A, l.B), innerPC)
			device(t, l.Peer, lay(l.B, l.A), inner)
			st := l.isolate(t)
			if len(st.Policy.Tunnels) == 0 || st.WayHome == nil || !st.WayHome.OK {
				t.Fatalf("tunnels %+v, way home %+v", st.Policy.Tunnels, st.WayHome)
			}
			check(t, l.PC.ForgetNeighbours(l.NameA)) // asked anew, through the rules
			check(t, l.Peer.ForgetNeighbours(l.NameB))
			l.onlyHome(t)
			if _, err := l.m.Release(t.Context(), isolate.Request{CommandID: "cmd_2"}); err != nil {
				t.Error(err)
			}
		})
	}
}

// Without the outer way the same collector is out of reach: the test above shows something.
func TestWithoutTheOuterEnd(t *testing.T) {
	l := newLab(t)
	device(t, l.PC, vxlan(l.A.V4, l.B.V4), innerPC)
	device(t, l.Peer, vxlan(l.B.V4, l.A.V4), inner)
	l.open(t, "the way home before", inner.At(4, collectorPort))
	check(t, l.fw.Apply(t.Context(), l.policy()))
	l.closed(t, "a tunnel whose outer end is cut", inner.At(4, collectorPort), mark)
	check(t, l.fw.Restore(t.Context()))
}

// The way to the collector changes while isolated: into a tunnel, to another end of it,
// and out again.
func TestRoutesChangeWhileIsolated(t *testing.T) {
	l := newLab(t)
	// Before there is a tunnel the collector is at the cable.
	check(t, l.Peer.AddAddr(l.NameB, netip.PrefixFrom(inner.V4, 32)))
	check(t, l.PC.AddRoute(netip.PrefixFrom(inner.V4, 32), l.B.V4))
	if st := l.isolate(t); len(st.Policy.Tunnels) != 0 || !st.WayHome.OK {
		t.Fatalf("%+v", st)
	}
	l.follow(t)
	l.await(t, "watching", func(isolate.Status) bool { return true })

	n, err := nl.NewHandleAt(netns.NsHandle(l.PC.FD()), unix.NETLINK_ROUTE)
	check(t, err)
	defer n.Close()
	device(t, l.Peer, vxlan(l.B.V4, l.A.V4), netlab.Addrs{V4: netip.MustParseAddr("10.78.0.2"), V6: netip.MustParseAddr("fd78::2")})
	begin := time.Now()
	device(t, l.PC, vxlan(l.A.V4, l.B.V4), netlab.Addrs{V4: netip.MustParseAddr("10.78.0.1"), V6: netip.MustParseAddr("fd78::1")})
	move := func(via string) {
		t.Helper()
		check(t, n.RouteReplace(&nl.Route{Dst: &net.IPNet{IP: inner.V4.AsSlice(), Mask: net.CIDRMask(32, 32)}, Gw: net.ParseIP(via).To4()}))
	}
	move("10.78.0.2")
	st := l.await(t, "the tunnel is open", func(st isolate.Status) bool {
		return len(st.Policy.Tunnels) == 1 && st.Observed == isolate.Isolated && st.WayHome != nil && st.WayHome.OK
	})
	t.Logf("home through the tunnel %v after the route changed: %s", time.Since(begin).Round(time.Millisecond), st.Policy.Tunnels[0])
	if w := st.Policy.Tunnels[0]; w.Address != l.B.V4 || w.Protocol != isolate.ProtocolUDP || w.Port != 4789 || w.Link != "vx0" || !strings.Contains(strings.Join(st.Moved, "\n"), "opened udp") {
		t.Errorf("%+v, moved %q", w, st.Moved)
	}
	l.closed(t, "another program in the tunnel", inner.At(4, collectorPort), 0)

	// The tunnel goes and the collector is at the cable again; the outer way stays for a
	// while, so that it can come back.
	move(l.B.V4.String())
	d, err := n.LinkByName("vx0")
	check(t, err)
	check(t, n.LinkDel(d))
	l.await(t, "home by the cable", func(st isolate.Status) bool { return st.Observed == isolate.Isolated && len(st.Policy.Tunnels) == 1 })
	l.open(t, "the way home by the cable", inner.At(4, collectorPort))
}
