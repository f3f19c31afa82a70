package tunnel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"hozen/agent/internal/isolate"
)

// errReply means that the kernel's answer does not have the form that we know.
var errReply = errors.New("kernel's answer is not understood")

// attrs calls fn with each netlink attribute of b (netlink(7)).
func attrs(b []byte, fn func(typ uint16, v []byte) error) error {
	for len(b) > 0 {
		if len(b) < 4 {
			return fmt.Errorf("%d bytes after the last attribute: %w", len(b), errReply)
		}
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return fmt.Errorf("attribute of %d bytes in %d: %w", n, len(b), errReply)
		}
		if err := fn(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[4:n]); err != nil {
			return err
		}
		b = b[min(len(b), (n+3)&^3):]
	}
	return nil
}

func u32(v []byte) uint32 {
	if len(v) != 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(v)
}

func port(v []byte) uint16 {
	if len(v) != 2 {
		return 0
	}
	return binary.BigEndian.Uint16(v)
}

func addr(v []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(v)
	return a
}

func text(v []byte) string {
	b, _, _ := bytes.Cut(v, []byte{0})
	return string(b)
}

// What is used of linux/rtnetlink.h.
const (
	rtmsgSize = 12
	rtnLocal  = 2 // RTN_LOCAL
	rtaDst    = 1
	rtaOIF    = 4
	rtaMark   = 16
	rtaEncap  = 22
)

// parseRoute reads struct rtmsg and its attributes (rtnetlink(7)).
func parseRoute(b []byte) (route, error) {
	if len(b) < rtmsgSize {
		return route{}, fmt.Errorf("route of %d bytes: %w", len(b), errReply)
	}
	var r route
	err := attrs(b[rtmsgSize:], func(typ uint16, v []byte) error {
		switch typ {
		case rtaOIF:
			r.link = u32(v)
		case rtaEncap:
			r.encap = true
		}
		return nil
	})
	if b[7] == rtnLocal {
		r.link = 0 // it stays here
	}
	return r, err
}

// What is used of linux/if_link.h and linux/if_tunnel.h.
const (
	ifinfomsgSize = 16
	iflaName      = 3
	iflaLink      = 5
	iflaLinkInfo  = 18
	iflaNetNSID   = 37
	infoKind      = 1
	infoData      = 2

	ipLink, ipRemote, ipEncap, ipExtern, ipMark      = 1, 3, 15, 19, 20
	greLink, greRemote, greEncap, greExtern, greMark = 1, 7, 14, 18, 20
	vxGroup, vxLink, vxPort, vxGroup6, vxExtern      = 2, 3, 15, 16, 25
	gnRemote, gnPort, gnExtern, gnRemote6            = 2, 5, 6, 7
)

// parseLink reads struct ifinfomsg and its attributes.
func parseLink(b []byte) (link, error) {
	if len(b) < ifinfomsgSize {
		return link{}, fmt.Errorf("device of %d bytes: %w", len(b), errReply)
	}
	l := link{index: binary.NativeEndian.Uint32(b[4:])}
	var under uint32
	var data []byte
	err := attrs(b[ifinfomsgSize:], func(typ uint16, v []byte) error {
		switch typ {
		case iflaName:
			l.name = text(v)
		case iflaLink:
			under = u32(v)
		case iflaNetNSID:
			l.elsewhere = true
		case iflaLinkInfo:
			return attrs(v, func(typ uint16, v []byte) error {
				switch typ {
				case infoKind:
					l.kind = text(v)
				case infoData:
					data = v
				}
				return nil
			})
		}
		return nil
	})
	if err != nil {
		return l, err
	}
	switch l.kind {
	case "vlan", "macvlan", "ipvlan", "macvtap", "ipvtap", "macsec":
		if !l.elsewhere { // an index of another namespace says nothing here
			l.lower = under
		}
	}
	l.outer, err = parseOuter(l.kind, data)
	return l, err
}

// parseOuter reads the attributes of one kind of tunnel.
func parseOuter(kind string, b []byte) (outer, error) {
	var o outer
	err := attrs(b, func(typ uint16, v []byte) error {
		switch kind {
		case "ipip", "sit", "ip6tnl":
			o.ipTunnel(typ, v)
		case "gre", "gretap", "ip6gre", "ip6gretap":
			o.gre(typ, v)
		case "vxlan":
			o.vxlan(typ, v)
		case "geneve":
			o.geneve(typ, v)
		}
		return nil
	})
	return o, err
}

func (o *outer) ipTunnel(typ uint16, v []byte) {
	switch typ {
	case ipLink:
		o.via = u32(v)
	case ipRemote:
		o.remote = addr(v)
	case ipEncap:
		o.encap = !zero(v)
	case ipExtern:
		o.extern = true
	case ipMark:
		o.mark = u32(v)
	}
}

func (o *outer) gre(typ uint16, v []byte) {
	switch typ {
	case greLink:
		o.via = u32(v)
	case greRemote:
		o.remote = addr(v)
	case greEncap:
		o.encap = !zero(v)
	case greExtern:
		o.extern = true
	case greMark:
		o.mark = u32(v)
	}
}

func (o *outer) vxlan(typ uint16, v []byte) {
	switch typ {
	case vxGroup, vxGroup6:
		o.remote = addr(v)
	case vxLink:
		o.via = u32(v)
	case vxPort:
		o.port = port(v)
	case vxExtern:
		o.extern = !zero(v)
	}
}

func (o *outer) geneve(typ uint16, v []byte) {
	switch typ {
	case gnRemote, gnRemote6:
		o.remote = addr(v)
	case gnPort:
		o.port = port(v)
	case gnExtern:
		o.extern = true
	}
}

func zero(v []byte) bool { return !slices.ContainsFunc(v, func(b byte) bool { return b != 0 }) }

// What is used of linux/genetlink.h and linux/wireguard.h.
const (
	genlSize     = 4
	ctrlFamilyID = 1

	wgMark, wgPeers                  = 7, 8
	wgPeerKey, wgEndpoint, wgAllowed = 1, 4, 9
	wgAddress, wgBits                = 2, 3
	familyInet                       = 2
	familyInet6                      = 10
	peersMax, allowedMax             = 4096, 65536
)

// parseFamily reads the number of a generic netlink family (CTRL_CMD_NEWFAMILY).
func parseFamily(b []byte) (id uint16, err error) {
	if len(b) < genlSize {
		return 0, fmt.Errorf("family of %d bytes: %w", len(b), errReply)
	}
	err = attrs(b[genlSize:], func(typ uint16, v []byte) error {
		if typ == ctrlFamilyID && len(v) == 2 {
			id = binary.NativeEndian.Uint16(v)
		}
		return nil
	})
	if err == nil && id == 0 {
		err = fmt.Errorf("family without a number: %w", errReply)
	}
	return id, err
}

// add reads one of the messages that WG_CMD_GET_DEVICE is answered with. A peer that has
// more addresses than fit goes on in the next. Keys other than the peers' public ones are
// not looked at.
func (d *peers) add(b []byte) error {
	if len(b) < genlSize {
		return fmt.Errorf("WireGuard's answer of %d bytes: %w", len(b), errReply)
	}
	return attrs(b[genlSize:], func(typ uint16, v []byte) error {
		switch typ {
		case wgMark:
			d.mark = u32(v)
		case wgPeers:
			return attrs(v, func(_ uint16, v []byte) error { return d.addPeer(v) })
		}
		return nil
	})
}

func (d *peers) addPeer(b []byte) error {
	var p peer
	err := attrs(b, func(typ uint16, v []byte) error {
		switch typ {
		case wgPeerKey:
			copy(p.key[:], v)
		case wgEndpoint:
			p.endpoint = sockaddr(v)
		case wgAllowed:
			return attrs(v, func(_ uint16, v []byte) error {
				n, err := allowedIP(v)
				if err == nil && len(p.allowed) < allowedMax {
					p.allowed = append(p.allowed, n)
				}
				return err
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n := len(d.all) - 1; n >= 0 && d.all[n].key == p.key {
		last := &d.all[n]
		if room := allowedMax - len(last.allowed); len(p.allowed) > room {
			p.allowed = p.allowed[:room]
		}
		last.allowed = append(last.allowed, p.allowed...)
		if p.endpoint.IsValid() {
			last.endpoint = p.endpoint
		}
		return nil
	}
	if len(d.all) >= peersMax {
		return fmt.Errorf("more than %d peers: %w", peersMax, errReply)
	}
	d.all = append(d.all, p)
	return nil
}

// sockaddr reads struct sockaddr_in or sockaddr_in6; anything else is no address.
func sockaddr(b []byte) netip.AddrPort {
	if len(b) < 2 {
		return netip.AddrPort{}
	}
	switch f := binary.NativeEndian.Uint16(b); {
	case f == familyInet && len(b) >= 8:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), binary.BigEndian.Uint16(b[2:]))
	case f == familyInet6 && len(b) >= 24:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:])).Unmap(), binary.BigEndian.Uint16(b[2:]))
	}
	return netip.AddrPort{}
}

func allowedIP(b []byte) (netip.Prefix, error) {
	var a netip.Addr
	bits := -1
	err := attrs(b, func(typ uint16, v []byte) error {
		switch {
		case typ == wgAddress:
			a = addr(v)
		case typ == wgBits && len(v) == 1:
			bits = int(v[0])
		}
		return nil
	})
	n := netip.PrefixFrom(a, bits)
	if err == nil && !n.IsValid() {
		err = fmt.Errorf("allowed address without a length: %w", errReply)
	}
	return n, err
}

// What is used of linux/inet_diag.h.
const (
	diagSize     = 72 // struct inet_diag_msg
	diagMark     = 15
	diagUDPLoose = 7 // TCP_CLOSE: a UDP socket on which connect(2) was not called
)

// parseSocket reads struct inet_diag_msg and its attributes.
func parseSocket(protocol uint8, b []byte) (f flow, state byte, err error) {
	if len(b) < diagSize {
		return f, 0, fmt.Errorf("socket of %d bytes: %w", len(b), errReply)
	}
	f = flow{protocol: protocol, via: binary.NativeEndian.Uint32(b[40:]), inode: binary.NativeEndian.Uint32(b[68:])}
	var a netip.Addr
	switch b[0] {
	case familyInet:
		a = netip.AddrFrom4([4]byte(b[24:]))
	case familyInet6:
		a = netip.AddrFrom16([16]byte(b[24:])).Unmap()
	default:
		return f, 0, fmt.Errorf("socket of family %d: %w", b[0], errReply)
	}
	f.remote = netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[6:]))
	err = attrs(b[diagSize:], func(typ uint16, v []byte) error {
		if typ == diagMark {
			f.mark = u32(v)
		}
		return nil
	})
	return f, b[1], err
}

// outside reports whether the other end is one that could carry a tunnel.
func (f flow) outside() bool {
	t := isolate.Policy{Tunnels: []isolate.Tunnel{{Address: f.remote.Addr(), Protocol: f.protocol, Port: f.remote.Port()}}}
	return len(t.Clean().Tunnels) == 1
}

// parseHolds reads /proc/PID/fdinfo/FD of /dev/net/tun: the device that is attached to it
// (drivers/net/tun.c, tun_chr_show_fdinfo).
func parseHolds(b []byte) string {
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "iff:"); ok {
			return strings.TrimSpace(name)
		}
	}
	return ""
}

// parseSocketLink reads what a descriptor of a socket is a link to, "socket:[4711]".
func parseSocketLink(s string) (inode uint32, ok bool) {
	s, ok = strings.CutPrefix(s, "socket:[")
	s, end := strings.CutSuffix(s, "]")
	if !ok || !end || s == "" || len(s) > 10 {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return uint32(n), n <= 0xffffffff
}
