// Package netlab makes network namespaces joined by virtual cables, for tests, for
// the benchmark and for the practice PC of the demo. It knows nothing of the product.
//
// Nothing has a name in the file system: a namespace lives as long as a thread, a
// process or an open socket in it, and its cables die with it, so a lab whose process
// is killed leaves nothing behind. No host of a lab forwards packets and none has a
// default route unless a test asks for it: traffic stays on the cables.
package netlab

import (
	"errors"
	"fmt"
	"net/netip"
)

// The addresses of a lab come from ranges that no real network uses: 198.18.0.0/15
// is set aside for benchmarks of network devices (RFC 2544, RFC 6890), and
// fd68:6f7a:656e::/48 is a unique local prefix (RFC 4193) whose global identifier
// spells "hozen". Cable n of a lab is 198.18.n.0/24 and fd68:6f7a:656e:n::/64.
var (
	pool4 = netip.MustParsePrefix("198.18.0.0/15")
	pool6 = netip.MustParsePrefix("fd68:6f7a:656e::/48")
)

// ErrFull means that the pool of addresses has no free network left.
var ErrFull = errors.New("no free network in the lab's address pool")

// Subnet is the pair of networks on one cable.
type Subnet struct {
	V4, V6 netip.Prefix
}

// subnet returns network n of the pools, n in 0…511.
func subnet(n int) Subnet {
	a4 := pool4.Addr().As4()
	a4[1] += byte(n >> 8)
	a4[2] = byte(n)
	a6 := pool6.Addr().As16()
	a6[6], a6[7] = byte(n>>8), byte(n)
	return Subnet{V4: netip.PrefixFrom(netip.AddrFrom4(a4), 24), V6: netip.PrefixFrom(netip.AddrFrom16(a6), 64)}
}

// Host returns the pair of addresses of host number n, 1…254, on the cable.
func (s Subnet) Host(n int) Addrs {
	a4, a6 := s.V4.Addr().As4(), s.V6.Addr().As16()
	a4[3], a6[15] = byte(n), byte(n)
	return Addrs{V4: netip.AddrFrom4(a4), V6: netip.AddrFrom16(a6)}
}

// Addrs is one host's addresses on one cable. V6 is the zero Addr where the kernel
// has no IPv6.
type Addrs struct {
	V4, V6 netip.Addr
}

// At returns the address of the family, 4 or 6, with a port, as net.Dial takes it.
func (a Addrs) At(family, port int) string {
	return a.AddrPort(family, port).String()
}

// AddrPort returns the address of the family, 4 or 6, with a port.
func (a Addrs) AddrPort(family, port int) netip.AddrPort {
	if family == 6 {
		return netip.AddrPortFrom(a.V6, uint16(port))
	}
	return netip.AddrPortFrom(a.V4, uint16(port))
}

// free returns the first network of the pools, counted from start, that overlaps
// none of taken.
func free(start int, taken []netip.Prefix) (Subnet, error) {
	const networks = 512
	for i := range networks {
		s := subnet((start + i) % networks)
		if !overlaps(s.V4, taken) && !overlaps(s.V6, taken) {
			return s, nil
		}
	}
	return Subnet{}, fmt.Errorf("choose a network: %w", ErrFull)
}

func overlaps(p netip.Prefix, taken []netip.Prefix) bool {
	for _, t := range taken {
		// A default route overlaps everything and collides with nothing.
		if t.Bits() > 0 && t.Overlaps(p) {
			return true
		}
	}
	return false
}
