package trial

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// errReply means that the kernel's answer does not have the form that we know.
var errReply = errors.New("kernel's answer is not understood")

// most bounds how many addresses of one kind are taken from the configuration.
const most = 8

// usable reports whether an address can be one of somebody else.
func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// literal reads an address; a name is none, and is never resolved.
func literal(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	a = a.Unmap()
	return a, err == nil && usable(a)
}

// parseResolvers reads the name servers of resolv.conf(5) that are not this endpoint.
func parseResolvers(b []byte) (as []netip.Addr) {
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || len(as) == most {
			continue
		}
		if a, ok := literal(f[1]); ok && !slices.Contains(as, a) {
			as = append(as, a)
		}
	}
	return as
}

// parseClocks reads the time servers that are given by address in timesyncd.conf(5),
// chrony.conf(5) or ntp.conf(5).
func parseClocks(b []byte) (as []netip.Addr) {
	for line := range strings.Lines(string(b)) {
		var words []string
		f := strings.Fields(line)
		if len(f) >= 2 && (f[0] == "server" || f[0] == "pool" || f[0] == "peer") {
			words = f[1:2]
		} else if key, value, ok := strings.Cut(line, "="); ok && (key == "NTP" || key == "FallbackNTP") {
			words = strings.Fields(value)
		}
		for _, w := range words {
			if a, ok := literal(w); ok && !slices.Contains(as, a) && len(as) < most {
				as = append(as, a)
			}
		}
	}
	return as
}

// hop is a next hop as the kernel names it.
type hop struct {
	addr  netip.Addr
	index int
}

// Sizes of struct rtmsg, rtnexthop and ndmsg (rtnetlink(7)).
const sizeofRtmsg, sizeofNexthop, sizeofNdmsg = 12, 8, 12

// parseDefault reads one route and returns its next hops if it is a default route.
func parseDefault(b []byte) (hops []hop, err error) {
	if len(b) < sizeofRtmsg {
		return nil, fmt.Errorf("route of %d bytes: %w", len(b), errReply)
	}
	const unicast, cloned = 1, 0x200
	ne := binary.NativeEndian
	if b[1] != 0 || b[7] != unicast || ne.Uint32(b[8:])&cloned != 0 {
		return nil, nil
	}
	var one hop
	var many []byte
	err = attrs(b[sizeofRtmsg:], func(typ uint16, v []byte) {
		switch {
		case typ == 4 && len(v) >= 4: // RTA_OIF
			one.index = int(int32(ne.Uint32(v)))
		case typ == 9: // RTA_MULTIPATH
			many = v
		default:
			one.gateway(typ, v)
		}
	})
	if one.addr.IsValid() {
		hops = append(hops, one)
	}
	for len(many) >= sizeofNexthop && len(hops) < most {
		n := int(ne.Uint16(many))
		if n < sizeofNexthop || n > len(many) {
			return hops, errors.Join(err, fmt.Errorf("next hop of %d bytes in %d: %w", n, len(many), errReply))
		}
		h := hop{index: int(int32(ne.Uint32(many[4:])))}
		err = errors.Join(err, attrs(many[sizeofNexthop:n], h.gateway))
		if h.addr.IsValid() {
			hops = append(hops, h)
		}
		many = many[min(len(many), (n+3)&^3):]
	}
	return hops, err
}

func (h *hop) gateway(typ uint16, v []byte) {
	switch typ {
	case 5: // RTA_GATEWAY
	case 18: // RTA_VIA: a gateway of the other family, after the family's number
		v = v[min(2, len(v)):]
	default:
		return
	}
	if a, ok := netip.AddrFromSlice(v); ok && usable(a) {
		h.addr = a
	}
}

// neighbour is who is known on a link.
type neighbour struct {
	hop
	mac net.HardwareAddr
}

// parseNeighbour reads one neighbour. It has no link-layer address unless the kernel
// would send to it.
func parseNeighbour(b []byte) (n neighbour, err error) {
	if len(b) < sizeofNdmsg {
		return n, fmt.Errorf("neighbour of %d bytes: %w", len(b), errReply)
	}
	const reachable, stale, delay, probe, permanent = 0x02, 0x04, 0x08, 0x10, 0x80
	n.index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	known := binary.NativeEndian.Uint16(b[8:])&(reachable|stale|delay|probe|permanent) != 0
	err = attrs(b[sizeofNdmsg:], func(typ uint16, v []byte) {
		switch {
		case typ == 1: // NDA_DST
			n.addr, _ = netip.AddrFromSlice(v)
		case typ == 2 && len(v) == 6 && known: // NDA_LLADDR
			n.mac = slices.Clone(v)
		}
	})
	return n, err
}

// attrs calls fn with each netlink attribute of b (netlink(7)).
func attrs(b []byte, fn func(typ uint16, v []byte)) error {
	for len(b) > 0 {
		if len(b) < 4 {
			return fmt.Errorf("%d bytes after the last attribute: %w", len(b), errReply)
		}
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return fmt.Errorf("attribute of %d bytes in %d: %w", n, len(b), errReply)
		}
		fn(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[4:n])
		b = b[min(len(b), (n+3)&^3):]
	}
	return nil
}
