package isolate

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hozen/agent/internal/sorted"
)

// Mode is which traffic stays allowed.
type Mode string

// The modes. They stand in the state file and in records, so they are stable.
const (
	// Standard allows the collector, address configuration and loopback.
	Standard Mode = "standard"
	// Selective allows the same and what the permits name.
	Selective Mode = "selective"
	// Full allows address configuration and loopback, not even the collector.
	Full Mode = "full"
)

// Policy is what stays allowed while the network is cut. Its zero value, and any
// policy without collectors, allows loopback and address configuration alone.
type Policy struct {
	// Mode is Standard, Selective or Full.
	Mode Mode `json:"mode"`
	// Collectors are the pinned addresses and TCP ports of the collector, IPv4 and
	// IPv6. They are not names: while isolated there is no DNS. None with Full.
	Collectors []netip.AddrPort `json:"collectors"`
	// Permits are what else stays open, with Selective alone, at most PermitsMax.
	Permits []Permit `json:"permits,omitempty"`
	// Tunnels are the outer ends of tunnels behind which Collectors are, at most TunnelsMax.
	// They are found out at the endpoint, never ordered. None with Full.
	Tunnels []Tunnel `json:"tunnels,omitempty"`
	// DHCPServers are the IPv4 servers to which a lease may be renewed by unicast.
	// Optional: without it renewal falls back to broadcast, which is always allowed.
	DHCPServers []netip.Addr `json:"dhcp_servers,omitempty"`
	// Mark, if not 0, is the socket mark (SO_MARK, socket(7)) that packets to the
	// collector must carry, so that only the agent can use that way.
	Mark uint32 `json:"mark,omitempty"`
}

// PermitsMax is how many permits a policy may have.
const PermitsMax = 64

// Protocol is the transport protocol of a permit.
type Protocol string

// The protocols.
const (
	TCP Protocol = "tcp" // connections that the endpoint opens, never those that it accepts
	UDP Protocol = "udp" // what the endpoint sends, and what comes back from there
)

// Permit is one way that stays open in Selective mode.
type Permit struct {
	// Network is the other end, an address or a network: at least 8 bits of it are fixed
	// with IPv4, 32 with IPv6.
	Network netip.Prefix `json:"network"`
	// Protocol is TCP or UDP.
	Protocol Protocol `json:"protocol"`
	// First and Last are the ports of the other end, both included, from 1.
	First uint16 `json:"first_port"`
	Last  uint16 `json:"last_port"`
	// Reason is why, Host the name from which the address was made, or empty.
	Reason string `json:"reason,omitempty"`
	Host   string `json:"host,omitempty"`
	// ExpiresAt is when it ends, by the agent's wall clock. There is no permit without.
	ExpiresAt time.Time `json:"expires_at"`
}

// way is what a permit opens, whyever and until whenever.
type way struct {
	network     netip.Prefix
	protocol    Protocol
	first, last uint16
}

func (p Permit) way() way { return way{p.Network, p.Protocol, p.First, p.Last} }

// String says what it opens, such as "tcp 192.0.2.0/24 port 443" or "udp 2001:db8::1/128
// ports 5000-5010".
func (p Permit) String() string {
	if p.First == p.Last {
		return fmt.Sprintf("%s %s port %d", p.Protocol, p.Network, p.First)
	}
	return fmt.Sprintf("%s %s ports %d-%d", p.Protocol, p.Network, p.First, p.Last)
}

// Covers reports whether the other end to of a connection is one that p leaves open.
func (p Permit) Covers(protocol Protocol, to netip.AddrPort) bool {
	return p.Protocol == protocol && p.First <= to.Port() && to.Port() <= p.Last &&
		p.Network.Contains(to.Addr().Unmap().WithZone(""))
}

func (p Permit) check() error {
	n := unmapped(p.Network)
	least := 8
	if n.Addr().Is6() {
		least = 32
	}
	switch {
	case !n.IsValid():
		return errors.New("permit without a network")
	case n.Bits() < least || n.Addr().Is4In6():
		return fmt.Errorf("permit of %s: the network is too wide, /%d is allowed", n, least)
	case !usable(n.Masked().Addr()):
		return fmt.Errorf("permit of %s: not the addresses of others", n)
	case p.Protocol != TCP && p.Protocol != UDP:
		return fmt.Errorf("permit of %s: protocol %.20q is neither %q nor %q", n, p.Protocol, TCP, UDP)
	case p.First == 0 || p.Last < p.First:
		return fmt.Errorf("permit of %s: no ports from %d to %d", n, p.First, p.Last)
	case p.ExpiresAt.IsZero():
		return fmt.Errorf("permit of %s: it has no end", n)
	case len(p.Reason) > 256 || len(p.Host) > 253:
		return fmt.Errorf("permit of %s: reason of %d or host of %d bytes is too long", n, len(p.Reason), len(p.Host))
	}
	return nil
}

// unmapped takes the IPv6 form off an IPv4 network.
func unmapped(n netip.Prefix) netip.Prefix {
	if n.Addr().Is4In6() && n.Bits() >= 96 {
		return netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
	}
	return n
}

// Check says what is wrong with a policy as it was ordered; nothing of such an order may
// be done.
func (p Policy) Check() error {
	switch p.Mode {
	case "", Standard, Selective, Full:
	default:
		return fmt.Errorf("mode %.20q is not known", p.Mode)
	}
	if p.Mode != Selective && len(p.Permits) > 0 {
		return fmt.Errorf("mode %q has no permits", cmp.Or(p.Mode, Standard))
	}
	if len(p.Permits) > PermitsMax {
		return fmt.Errorf("%d permits, at most %d are allowed", len(p.Permits), PermitsMax)
	}
	for _, m := range p.Permits {
		if err := m.check(); err != nil {
			return err
		}
	}
	if p.Mode != Full && len(p.Clean().Collectors) == 0 {
		return ErrNoCollector
	}
	return nil
}

// Clean returns the policy in its one canonical form: addresses sorted and unique,
// IPv4 addresses not wrapped in IPv6, no zones (the address then counts on every
// link), nothing that cannot be a single endpoint, and nothing that the mode does not
// have.
func (p Policy) Clean() Policy {
	var cs []netip.AddrPort
	for _, c := range p.Collectors {
		if a := c.Addr().Unmap().WithZone(""); p.Mode != Full && usable(a) && c.Port() != 0 {
			cs = append(cs, netip.AddrPortFrom(a, c.Port()))
		}
	}
	sorted.Func(cs, netip.AddrPort.Compare)
	var ps []Permit
	for _, m := range p.Permits {
		if p.Mode == Selective && m.check() == nil {
			m.Network = unmapped(m.Network).Masked()
			ps = append(ps, m)
		}
	}
	sorted.Func(ps, Permit.compare)
	var ds []netip.Addr
	for _, d := range p.DHCPServers {
		if a := d.Unmap(); a.Is4() && usable(a) {
			ds = append(ds, a)
		}
	}
	sorted.Func(ds, netip.Addr.Compare)
	var ts []Tunnel
	if p.Mode != Full {
		ts = cleanTunnels(p.Tunnels)
	}
	return Policy{
		Mode:        cmp.Or(p.Mode, Standard),
		Collectors:  slices.Compact(cs),
		Permits:     ps,
		Tunnels:     ts,
		DHCPServers: slices.Compact(ds),
		Mark:        p.Mark,
	}
}

func (p Permit) compare(q Permit) int {
	return cmp.Or(
		p.Network.Addr().Compare(q.Network.Addr()), cmp.Compare(p.Network.Bits(), q.Network.Bits()),
		cmp.Compare(p.Protocol, q.Protocol), cmp.Compare(p.First, q.First), cmp.Compare(p.Last, q.Last),
		p.ExpiresAt.Compare(q.ExpiresAt), cmp.Compare(p.Reason, q.Reason), cmp.Compare(p.Host, q.Host),
	)
}

// Ways returns the permits of a clean policy without those that open what another one
// opens too.
func (p Policy) Ways() []Permit {
	return slices.CompactFunc(slices.Clone(p.Permits), func(a, b Permit) bool { return a.way() == b.way() })
}

func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast()
}

// Equal reports whether two policies allow the same.
func (p Policy) Equal(q Policy) bool {
	p, q = p.Clean(), q.Clean()
	return p.Mode == q.Mode && p.Mark == q.Mark &&
		slices.Equal(p.Collectors, q.Collectors) && slices.Equal(p.DHCPServers, q.DHCPServers) &&
		sameTunnels(p.Tunnels, q.Tunnels) &&
		slices.EqualFunc(p.Ways(), q.Ways(), func(a, b Permit) bool { return a.way() == b.way() })
}
