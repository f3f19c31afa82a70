package trial_test

import (
	"net/netip"
	"strings"
	"testing"

	link "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// Where routers announce themselves (RFC 4861) the gateway of IPv6 is a link-local
// address, which says nothing without its device.
func TestLinkLocalGateway(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	h, err := link.NewHandleAt(netns.NsHandle(l.Peer.FD()), unix.NETLINK_ROUTE)
	check(t, err)
	defer h.Close()
	far, err := h.LinkByName(l.NameB)
	check(t, err)
	as, err := h.AddrList(far, unix.AF_INET6)
	check(t, err)
	var gateway netip.Addr
	for _, a := range as {
		if ip, _ := netip.AddrFromSlice(a.IP); ip.IsLinkLocalUnicast() {
			gateway = ip
		}
	}
	n, err := link.NewHandleAt(netns.NsHandle(l.PC.FD()), unix.NETLINK_ROUTE)
	check(t, err)
	defer n.Close()
	near, err := n.LinkByName(l.NameA)
	check(t, err)
	check(t, n.RouteAdd(&link.Route{Gw: gateway.AsSlice(), LinkIndex: near.Attrs().Index, Family: unix.AF_INET6}))
	controls := l.prober().Controls(t.Context())
	fw, drops := l.firewall(t)
	check(t, fw.Apply(t.Context(), l.policy))
	found := 0
	for _, o := range l.prober().Try(t.Context(), l.policy, controls, drops) {
		if !strings.Contains(o.Target, gateway.String()) {
			continue
		}
		found++
		if o.Outcome != isolate.AsOrdered {
			t.Errorf("%+v", o)
		}
	}
	if found != 4 { // udp6, icmp6 and two frames
		t.Errorf("the gateway was tried %d times, controls %v", found, controls.Open)
	}
}

func BenchmarkTry(b *testing.B) {
	l := newLab(b)
	l.serve(b)
	l.route(b)
	controls := l.controls(b)
	fw, drops := l.firewall(b)
	check(b, fw.Apply(b.Context(), l.policy))
	p := l.prober()
	var before, after unix.Rusage
	check(b, unix.Getrusage(unix.RUSAGE_SELF, &before))
	b.ReportAllocs()
	for b.Loop() {
		p.Try(b.Context(), l.policy, controls, drops)
	}
	check(b, unix.Getrusage(unix.RUSAGE_SELF, &after))
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(cpu)/1e6/float64(b.N), "ms-cpu/op")
}
