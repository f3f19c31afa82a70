package isolate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hozen/agent/internal/sorted"
)

// Tunnel is the outer end of a tunnel behind which a collector is: without it the inner
// way, which is open, leads nowhere.
type Tunnel struct {
	// Address is the other end of what carries the tunnel.
	Address netip.Addr `json:"address"`
	// Protocol is the number of the IP protocol that carries it: 4 (IPv4 in IP), 6 (TCP),
	// 17 (UDP), 41 (IPv6 in IP) or 47 (GRE).
	Protocol uint8 `json:"protocol"`
	// Port is the other end's, of TCP and UDP alone.
	Port uint16 `json:"port,omitempty"`
	// Own, if not 0, is the UDP port here to which the other end sends from any port of
	// its own, as VXLAN does; without it answers come from Port.
	Own uint16 `json:"own_port,omitempty"`
	// Link is the tunnel's device, Why says in English how the end was found.
	Link string `json:"link,omitempty"`
	Why  string `json:"why,omitempty"`
	// Since is when it was opened, by the agent's wall clock; zero if that is not known.
	Since time.Time `json:"since,omitzero"`
	// Proved means that the collector was reached while this was a way to it.
	Proved bool `json:"proved,omitempty"`
}

// The protocols that carry tunnels, as in the protocol field of an IP header (IANA,
// "Assigned Internet Protocol Numbers").
const (
	ProtocolIPv4 uint8 = 4
	ProtocolTCP  uint8 = 6
	ProtocolUDP  uint8 = 17
	ProtocolIPv6 uint8 = 41
	ProtocolGRE  uint8 = 47
)

// TunnelsMax is how many tunnels a policy may have; what is more is left out.
const TunnelsMax = 16

// outer is what a tunnel opens, however it was found.
type outer struct {
	address   netip.Addr
	protocol  uint8
	port, own uint16
}

func (t Tunnel) outer() outer { return outer{t.Address, t.Protocol, t.Port, t.Own} }

// String says what it opens, such as "udp 192.0.2.1 port 4789".
func (t Tunnel) String() string {
	switch t.Protocol {
	case ProtocolTCP:
		return fmt.Sprintf("tcp %s port %d", t.Address, t.Port)
	case ProtocolUDP:
		return fmt.Sprintf("udp %s port %d", t.Address, t.Port)
	}
	return fmt.Sprintf("protocol %d %s", t.Protocol, t.Address)
}

// Carries reports whether a connection with another end is what carries the tunnel.
func (t Tunnel) Carries(protocol Protocol, with netip.AddrPort) bool {
	number := ProtocolTCP
	if protocol == UDP {
		number = ProtocolUDP
	}
	return t.Protocol == number && with == netip.AddrPortFrom(t.Address, t.Port)
}

// valid reports whether it has what its protocol needs, and nothing else.
func (t Tunnel) valid() bool {
	if !usable(t.Address) || t.Address.IsLoopback() || t.Address == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	switch t.Protocol {
	case ProtocolTCP:
		return t.Port != 0 && t.Own == 0
	case ProtocolUDP:
		return t.Port != 0
	case ProtocolIPv4, ProtocolIPv6, ProtocolGRE:
		return t.Port == 0 && t.Own == 0
	}
	return false
}

// cleanTunnels returns the valid ones in their canonical form, each way once.
func cleanTunnels(ts []Tunnel) []Tunnel {
	var out []Tunnel
	for _, t := range ts {
		t.Address = t.Address.Unmap().WithZone("")
		t.Link, t.Why = clip(t.Link, 64), clip(t.Why, 256)
		if i := slices.IndexFunc(out, func(o Tunnel) bool { return o.outer() == t.outer() }); i >= 0 {
			out[i].Proved = out[i].Proved || t.Proved
		} else if t.valid() && len(out) < TunnelsMax {
			out = append(out, t)
		}
	}
	sorted.Func(out, func(a, b Tunnel) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.Port, b.Port), cmp.Compare(a.Own, b.Own))
	})
	return out
}

func sameTunnels(a, b []Tunnel) bool {
	return slices.EqualFunc(a, b, func(a, b Tunnel) bool { return a.outer() == b.outer() })
}
