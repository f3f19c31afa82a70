package trial

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// device is a network device of this endpoint.
type device struct {
	name  string
	index int
	mac   net.HardwareAddr // nil if it carries no Ethernet frames
}

// gateway is the next hop of a default route.
type gateway struct {
	addr netip.Addr // with the device as its zone if it is link-local
	dev  device
	mac  net.HardwareAddr // nil if the kernel does not know it now
}

// scene is with whom this endpoint talks by itself.
type scene struct {
	gateways          []gateway
	resolvers, clocks []netip.Addr
	own               []netip.Addr // addresses of this endpoint, loopback apart
	devices           []device
}

// way is one way of trying: what is sent to whom.
type way struct {
	name string
	kind kind
	to   netip.AddrPort // without port below TCP and UDP
	via  gateway        // of a frame of our own
}

// The ports that are tried. A gateway answers on a port where nobody listens as well, by
// a reset or "port unreachable"; 33434 is the one that traceroute(8) relies on for this.
const (
	portDNS    = 53
	portClock  = 123
	portClosed = 33434
)

// ways lists with whom a kind can be tried, the one most likely to answer first.
func (s scene) ways(k kind, name string, six bool) (ws []way) {
	add := func(a netip.Addr, port uint16, via gateway) {
		w := way{name: name, kind: k, to: netip.AddrPortFrom(a, port), via: via}
		mine := slices.Contains(s.own, a.WithZone(""))
		if a.Is6() == six && !mine && !slices.ContainsFunc(ws, func(o way) bool { return o.target() == w.target() }) {
			ws = append(ws, w)
		}
	}
	each := func(as []netip.Addr, port uint16) {
		for _, a := range as {
			add(a, port, gateway{})
		}
	}
	gateways := func(port uint16) {
		for _, g := range s.gateways {
			add(g.addr, port, gateway{})
		}
	}
	switch k {
	case kindTCP:
		each(s.resolvers, portDNS) // RFC 7766: every resolver has TCP
		gateways(portDNS)
	case kindUDP:
		each(s.clocks, portClock)
		gateways(portClosed)
		each(s.resolvers, portDNS)
	case kindDNS:
		each(s.resolvers, portDNS)
	case kindICMP:
		gateways(0)
	case kindRaw, kindBypass:
		for _, g := range s.gateways {
			if g.dev.mac != nil {
				add(g.addr, 0, g)
			}
		}
	case kindLoopback:
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if six {
			loopback = netip.IPv6Loopback()
		}
		add(loopback, 0, gateway{})
	case kindOwn:
		for _, a := range s.own {
			if a.Is6() == six && !a.IsLinkLocalUnicast() {
				return []way{{name: name, kind: k, to: netip.AddrPortFrom(a, 0)}}
			}
		}
	}
	return ws
}

func (w way) six() bool { return w.to.Addr().Is6() }

func (w way) raw() bool { return w.kind == kindRaw || w.kind == kindBypass }

// target says where the way goes; for a frame of our own "192.0.2.1 02:00:00:00:00:01
// eth0", without the second word as long as nobody knows it.
func (w way) target() string {
	switch {
	case w.raw() && w.via.mac == nil:
		return w.to.Addr().WithZone("").String() + " " + w.via.dev.name
	case w.raw():
		return w.to.Addr().WithZone("").String() + " " + w.via.mac.String() + " " + w.via.dev.name
	case w.to.Port() == 0:
		return w.to.Addr().String()
	}
	return w.to.String()
}

// is reports whether the way goes to a target of earlier. The link-layer address that
// nobody knows now may be the one of then: an isolated endpoint may have forgotten it.
func (w way) is(target string) bool {
	return w.target() == target || w.raw() && w.with(target).target() == target
}

// with returns the way with the link-layer address of an earlier target, if its own is
// not known.
func (w way) with(target string) way {
	f := strings.Fields(target)
	if !w.raw() || w.via.mac != nil || len(f) != 3 {
		return w
	}
	if mac, err := net.ParseMAC(f[1]); err == nil && len(mac) == 6 {
		w.via.mac = mac
	}
	return w
}
