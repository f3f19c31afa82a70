// Package tunnel finds out what carries the tunnels behind which the collector is, so
// that an isolated endpoint can leave that open too. It knows nothing of rules, orders
// or the collector itself.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"hozen/agent/internal/isolate"
)

// Config is what a Finder is built from. Its zero value is right for an agent.
type Config struct {
	// NetNS is the file descriptor of the network namespace to work in. Default 0: the
	// one of this process.
	NetNS int
	// Proc is where processes are listed. Default "/proc".
	Proc string
}

// depthMax bounds tunnels in tunnels.
const depthMax = 4

// limitsMax bounds what is told of what was not found out.
const limitsMax = 8

// limitsOf collects what was not found out, each once.
type limitsOf struct{ words []string }

func (l *limitsOf) add(format string, args ...any) {
	w := fmt.Sprintf(format, args...)
	if len(l.words) < limitsMax && !slices.Contains(l.words, w) {
		l.words = append(l.words, w)
	}
}

// route is where the kernel would send a packet.
type route struct {
	link uint32 // index of the device; 0: nowhere
	// encap: the route itself wraps packets (RTA_ENCAP, ip-route(8)).
	encap bool
}

// towards is a question for a route. Mark and via are those of who would send.
type towards struct {
	to   netip.Addr
	mark uint32
	via  uint32 // the device to which the sender is bound, or 0
}

// link is a network device, as far as it matters here.
type link struct {
	index uint32
	name  string
	kind  string // IFLA_INFO_KIND, empty for hardware
	// lower is the device under a VLAN and its like, 0 if there is none.
	lower uint32
	// elsewhere: what carries it is in another network namespace.
	elsewhere bool
	outer
}

// outer is what the attributes of a tunnel device say of what carries it.
type outer struct {
	remote netip.Addr // unspecified or multicast: no single other end
	port   uint16
	mark   uint32
	via    uint32 // the device to which it is bound
	encap  bool   // wrapped in UDP besides (FOU, GUE)
	extern bool   // the other end is said packet by packet
}

// peers is what WireGuard says of a device.
type peers struct {
	mark uint32
	all  []peer
}

type peer struct {
	key      [32]byte
	endpoint netip.AddrPort // zero: not known yet
	allowed  []netip.Prefix
}

// flow is a connected socket of a process that holds a TUN device.
type flow struct {
	protocol uint8
	remote   netip.AddrPort
	mark     uint32
	via      uint32
	inode    uint32
}

// held is who holds a TUN device and with whom he talks.
type held struct {
	holders []string // such as "openvpn, process 812"
	flows   []flow
	// loose is how many UDP sockets they have that are connected with nobody.
	loose int
	cut   bool // there was more than is looked at
}

// kernel is what is asked of the operating system.
type kernel interface {
	route(towards) (route, error)
	link(index uint32) (link, error)
	wireGuard(index uint32) (peers, error)
	held(name string) (held, error)
}

var errNoRoute = errors.New("no route")

// search is one look at all collectors.
type search struct {
	ctx    context.Context
	k      kernel
	found  []isolate.Tunnel
	limits limitsOf
}

// find looks what carries the way to each collector.
func find(ctx context.Context, k kernel, p isolate.Policy) ([]isolate.Tunnel, []string) {
	s := &search{ctx: ctx, k: k}
	for _, c := range p.Collectors {
		s.follow(towards{to: c.Addr(), mark: p.Mark}, nil)
	}
	return s.found, s.limits.words
}

// open adds an outer end, once.
func (s *search) open(t isolate.Tunnel) {
	same := func(o isolate.Tunnel) bool {
		return o.Address == t.Address && o.Protocol == t.Protocol && o.Port == t.Port && o.Own == t.Own
	}
	switch {
	case slices.ContainsFunc(s.found, same):
	case len(s.found) >= isolate.TunnelsMax:
		s.limits.add("more than %d tunnels lead to the collector; the others are not opened", isolate.TunnelsMax)
	default:
		s.found = append(s.found, t)
	}
}

// follow looks which device leads to an address and, if it is a tunnel, what carries it.
// above are the tunnels inside of which that is already.
func (s *search) follow(t towards, above []uint32) {
	if s.ctx.Err() != nil {
		s.limits.add("there was no time to find out what carries the way to %s", t.to)
		return
	}
	r, err := s.k.route(t)
	switch {
	case errors.Is(err, errNoRoute):
		return // whoever makes the network come up will have us look again
	case err != nil:
		s.limits.add("which device leads to %s is not known: %v", t.to, err)
		return
	case r.link == 0:
		return
	}
	l, err := s.k.link(r.link)
	for lower := 0; err == nil && l.lower != 0 && !tunnels[l.kind] && lower < depthMax; lower++ {
		l, err = s.k.link(l.lower)
	}
	if err != nil {
		s.limits.add("the device that leads to %s is not known: %v", t.to, err)
		return
	}
	if r.encap {
		s.limits.add("the route to %s wraps packets itself; with whom the other end is, is not worked out", t.to)
	}
	if !tunnels[l.kind] {
		if why, ok := opaque[l.kind]; ok {
			s.limits.add("%s leads to %s over %s, %s", l.name, t.to, l.kind, why)
		}
		return
	}
	switch {
	case l.elsewhere:
		return // what carries it never meets our rules
	case slices.Contains(above, l.index):
		s.limits.add("the tunnel %s is carried by itself", l.name)
		return
	case len(above) >= depthMax:
		s.limits.add("%s leads to %s, in more than %d tunnels one in another", l.name, t.to, depthMax)
		return
	}
	above = append(slices.Clone(above), l.index)
	switch l.kind {
	case "wireguard":
		s.wireGuard(l, t, above)
	case "tun":
		s.held(l, t, above)
	default:
		s.fixed(l, t, above)
	}
}

// tunnels are the kinds of devices of which can be found out what carries them.
var tunnels = map[string]bool{
	"ipip": true, "sit": true, "ip6tnl": true, "gre": true, "gretap": true, "ip6gre": true, "ip6gretap": true,
	"vxlan": true, "geneve": true, "wireguard": true, "tun": true,
}

// opaque are those of which it cannot.
var opaque = map[string]string{
	"bridge":  "of which the port is not known: what carries a tunnel that is one of its ports is not opened",
	"ppp":     "and what carries that is not worked out",
	"xfrm":    "and what carries IPsec is not worked out",
	"vti":     "and what carries IPsec is not worked out",
	"vti6":    "and what carries IPsec is not worked out",
	"erspan":  "and what carries that is not worked out",
	"amt":     "and what carries that is not worked out",
	"bareudp": "and what carries that is not worked out",
}

// fixed is a tunnel whose other end is an attribute of its device.
func (s *search) fixed(l link, t towards, above []uint32) {
	switch {
	case l.extern:
		s.limits.add("%s (%s) leads to %s, with another end that is said packet by packet", l.name, l.kind, t.to)
		return
	case !l.remote.IsValid() || l.remote.IsUnspecified() || l.remote.IsMulticast():
		s.limits.add("%s (%s) leads to %s, without one other end", l.name, l.kind, t.to)
		return
	case l.encap:
		s.limits.add("%s (%s) leads to %s, wrapped in UDP besides, which is not opened", l.name, l.kind, t.to)
		return
	}
	w := isolate.Tunnel{Address: l.remote, Link: l.name, Why: fmt.Sprintf("%s (%s) leads to %s", l.name, l.kind, t.to)}
	marks := []uint32{l.mark}
	switch l.kind {
	case "vxlan", "geneve":
		w.Protocol, w.Port, w.Own = isolate.ProtocolUDP, l.port, l.port
		if t.mark != 0 { // whether the kernel looks at the mark of what is inside depends on its age
			marks = []uint32{0, t.mark}
		}
	case "gre", "gretap", "ip6gre", "ip6gretap":
		w.Protocol = isolate.ProtocolGRE
	default:
		w.Protocol = isolate.ProtocolIPv6
		if t.to.Is4() {
			w.Protocol = isolate.ProtocolIPv4
		}
	}
	s.open(w)
	for _, mark := range marks {
		s.follow(towards{to: l.remote, mark: mark, via: l.via}, above)
	}
}

// wireGuard is a tunnel with many peers, of which addresses tell the one.
func (s *search) wireGuard(l link, t towards, above []uint32) {
	d, err := s.k.wireGuard(l.index)
	if err != nil {
		s.limits.add("%s (wireguard) leads to %s, and its peers cannot be read: %v", l.name, t.to, err)
		return
	}
	p, ok := d.to(t.to)
	switch {
	case !ok:
		s.limits.add("%s (wireguard) leads to %s, but has no peer for it", l.name, t.to)
		return
	case !p.endpoint.IsValid() || p.endpoint.Port() == 0:
		s.limits.add("%s (wireguard) leads to %s, but where the peer is, is not known", l.name, t.to)
		return
	}
	s.open(isolate.Tunnel{
		Address: p.endpoint.Addr(), Protocol: isolate.ProtocolUDP, Port: p.endpoint.Port(), Link: l.name,
		Why: fmt.Sprintf("%s (wireguard) leads to %s", l.name, t.to),
	})
	s.follow(towards{to: p.endpoint.Addr(), mark: d.mark}, above)
}

// to returns the peer to which WireGuard sends what is for a: the one with the longest
// prefix.
func (d peers) to(a netip.Addr) (best peer, ok bool) {
	bits := -1
	for _, p := range d.all {
		for _, n := range p.allowed {
			if n.Contains(a) && n.Bits() > bits {
				best, bits = p, n.Bits()
			}
		}
	}
	return best, bits >= 0
}

// held is a tunnel that a program carries: what it is connected with, but for what it
// sends through its own tunnel.
func (s *search) held(l link, t towards, above []uint32) {
	h, err := s.k.held(l.name)
	if err != nil {
		s.limits.add("%s leads to %s, and the program behind it is not known: %v", l.name, t.to, err)
	}
	if h.cut {
		s.limits.add("%s leads to %s: there are more processes or connections than are looked at", l.name, t.to)
	}
	if len(h.holders) == 0 {
		if err == nil {
			s.limits.add("%s leads to %s, and no process of this endpoint was found to hold it", l.name, t.to)
		}
		return
	}
	who := h.holders[0]
	n := 0
	for _, f := range h.flows {
		a := f.remote.Addr()
		if r, err := s.k.route(towards{to: a, mark: f.mark, via: f.via}); err != nil || r.link == l.index {
			continue
		}
		n++
		s.open(isolate.Tunnel{
			Address: a, Protocol: f.protocol, Port: f.remote.Port(), Link: l.name,
			Why: fmt.Sprintf("%s leads to %s, held by %s", l.name, t.to, who),
		})
		s.follow(towards{to: a, mark: f.mark, via: f.via}, above)
	}
	if h.loose > 0 {
		s.limits.add("%s leads to %s, held by %s, which has %d UDP sockets that are connected with nobody: with whom they talk is not known", l.name, t.to, who, h.loose)
	} else if n == 0 {
		s.limits.add("%s leads to %s, held by %s, which is connected with nobody", l.name, t.to, who)
	}
}
