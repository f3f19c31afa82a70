package netconfig

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"

	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

// What is used of linux/rtnetlink.h, linux/if_link.h and linux/if_addr.h. The numbers
// are the kernel's for ever.
const (
	newLink, getLink   = 16, 18
	newAddr, getAddr   = 20, 22
	newRoute, getRoute = 24, 26
	newNeigh, getNeigh = 28, 30
	newRule, getRule   = 32, 34

	familyInet, familyInet6 = 2, 10
)

var errShort = errors.New("read rtnetlink row: cut short")

// parseLink reads struct ifinfomsg and its attributes.
func parseLink(b []byte) (n record.NetConfig, err error) {
	if len(b) < 16 {
		return n, errShort
	}
	ne := binary.NativeEndian
	n = record.NetConfig{Type: record.NetInterface, IfIndex: int(int32(ne.Uint32(b[4:]))), Flags: linkFlags(ne.Uint32(b[8:]))}
	err = sockdiag.Attrs(b[16:], func(typ uint16, v []byte) {
		switch {
		case typ == 1: // IFLA_ADDRESS
			n.MAC = hardware(v)
		case typ == 3: // IFLA_IFNAME
			n.Iface = text(v)
		case typ == 4 && len(v) >= 4: // IFLA_MTU
			n.MTU = int(ne.Uint32(v))
		case typ == 5 && len(v) >= 4: // IFLA_LINK
			if i := int(int32(ne.Uint32(v))); i != n.IfIndex {
				n.Parent = i
			}
		case typ == 10 && len(v) >= 4: // IFLA_MASTER
			n.Master = int(int32(ne.Uint32(v)))
		case typ == 16 && len(v) >= 1: // IFLA_OPERSTATE
			n.Oper = name(int(v[0]), "unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
		case typ == 18: // IFLA_LINKINFO; what is odd inside it costs the kind alone
			sockdiag.Attrs(v, func(typ uint16, v []byte) {
				if typ == 1 { // IFLA_INFO_KIND
					n.Kind = text(v)
				}
			})
		case typ == 20: // IFLA_IFALIAS
			n.Alias = text(v)
		}
	})
	return n, err
}

func linkFlags(f uint32) (names []string) {
	for i, s := range [...]string{"up", "broadcast", "debug", "loopback", "pointtopoint", "", "running", "noarp", "promisc", "allmulti", "", "", "multicast"} {
		if s != "" && f&(1<<i) != 0 {
			names = append(names, s)
		}
	}
	return names
}

// parseAddr reads struct ifaddrmsg and its attributes.
func parseAddr(b []byte) (n record.NetConfig, err error) {
	if len(b) < 8 {
		return n, errShort
	}
	ne := binary.NativeEndian
	n = record.NetConfig{Type: record.NetAddress, IfIndex: int(ne.Uint32(b[4:])), Family: family(b[0]), Scope: scope(b[3])}
	flags := uint32(b[2])
	var address, local []byte
	err = sockdiag.Attrs(b[8:], func(typ uint16, v []byte) {
		switch {
		case typ == 1: // IFA_ADDRESS: the far end where there is one
			address = v
		case typ == 2: // IFA_LOCAL
			local = v
		case typ == 6 && len(v) >= 8: // IFA_CACHEINFO
			if valid := ne.Uint32(v[4:]); valid != 1<<32-1 {
				n.ValidSeconds = valid
			}
		case typ == 8 && len(v) >= 4: // IFA_FLAGS
			flags = ne.Uint32(v)
		}
	})
	own := address
	if local != nil {
		if own = local; !bytes.Equal(local, address) {
			n.Peer = address4or6(address)
		}
	}
	if a := address4or6(own); a != "" {
		n.Address = a + "/" + strconv.Itoa(int(b[1]))
	}
	switch {
	case flags&0x08 != 0:
		n.State = "dadfailed"
	case flags&0x40 != 0:
		n.State = "tentative"
	case flags&0x20 != 0:
		n.State = "deprecated"
	case flags&0x80 != 0:
		n.State = "permanent"
	}
	return n, err
}

// parseRoute reads struct rtmsg and its attributes: a record per next hop.
func parseRoute(b []byte) (out []record.NetConfig, err error) {
	if len(b) < 12 {
		return nil, errShort
	}
	const cloned = 0x200 // a cache entry, no route
	ne := binary.NativeEndian
	if family(b[0]) == "" || ne.Uint32(b[8:])&cloned != 0 {
		return nil, nil
	}
	n := record.NetConfig{
		Type: record.NetRoute, Family: family(b[0]), Table: uint32(b[4]), Protocol: routeProtocol(b[5]), Scope: scope(b[6]),
		RouteType: name(int(b[7]), "unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw", "nat"),
	}
	n.Destination = "default"
	if b[1] != 0 {
		n.Destination = "/" + strconv.Itoa(int(b[1]))
	}
	var hops []byte
	err = sockdiag.Attrs(b[12:], func(typ uint16, v []byte) {
		switch {
		case typ == 1: // RTA_DST
			n.Destination = address4or6(v) + "/" + strconv.Itoa(int(b[1]))
		case typ == 4 && len(v) >= 4: // RTA_OIF
			n.IfIndex = int(int32(ne.Uint32(v)))
		case typ == 5: // RTA_GATEWAY
			n.Gateway = address4or6(v)
		case typ == 6 && len(v) >= 4: // RTA_PRIORITY
			n.Metric = ne.Uint32(v)
		case typ == 7: // RTA_PREFSRC
			n.PrefSource = address4or6(v)
		case typ == 9: // RTA_MULTIPATH
			hops = v
		case typ == 15 && len(v) >= 4: // RTA_TABLE
			n.Table = ne.Uint32(v)
		case typ == 18 && len(v) > 2: // RTA_VIA: a gateway of the other family
			n.Gateway = address4or6(v[2:])
		}
	})
	for len(hops) >= 8 { // struct rtnexthop
		size := int(ne.Uint16(hops))
		if size < 8 || size > len(hops) {
			return append(out, n), errors.Join(err, errShort)
		}
		h := n
		h.IfIndex = int(int32(ne.Uint32(hops[4:])))
		err = errors.Join(err, sockdiag.Attrs(hops[8:size], func(typ uint16, v []byte) {
			if typ == 5 {
				h.Gateway = address4or6(v)
			}
		}))
		out = append(out, h)
		hops = hops[min(len(hops), (size+3)&^3):]
	}
	if out == nil {
		out = append(out, n)
	}
	return out, err
}

// parseNeigh reads struct ndmsg and its attributes.
func parseNeigh(b []byte) (n record.NetConfig, err error) {
	if len(b) < 12 {
		return n, errShort
	}
	ne := binary.NativeEndian
	n = record.NetConfig{Type: record.NetNeighbour, IfIndex: int(int32(ne.Uint32(b[4:]))), Family: family(b[0])}
	for i, s := range [...]string{"incomplete", "reachable", "stale", "delay", "probe", "failed", "noarp", "permanent"} {
		if ne.Uint16(b[8:])&(1<<i) != 0 {
			n.State = s
		}
	}
	err = sockdiag.Attrs(b[12:], func(typ uint16, v []byte) {
		switch typ {
		case 1: // NDA_DST
			n.Address = address4or6(v)
		case 2: // NDA_LLADDR
			n.MAC = hardware(v)
		}
	})
	return n, err
}

func address4or6(b []byte) string {
	if a, ok := netip.AddrFromSlice(b); ok {
		return a.String()
	}
	return ""
}

func hardware(b []byte) string {
	if len(bytes.Trim(b, "\x00")) == 0 || len(b) > 32 {
		return "" // loopback and tunnels have none
	}
	return net.HardwareAddr(b).String()
}

func text(b []byte) string {
	s, _ := record.Text(bytes.TrimRight(b, "\x00"))
	return s
}

func family(f byte) string {
	switch f {
	case familyInet:
		return record.FamilyInet
	case familyInet6:
		return record.FamilyInet6
	}
	return ""
}

func scope(s byte) string {
	switch s {
	case 0:
		return "global"
	case 200:
		return "site"
	case 253:
		return "link"
	case 254:
		return "host"
	case 255:
		return "nowhere"
	}
	return strconv.Itoa(int(s))
}

// routeProtocol names who set a route (RTPROT_ of rtnetlink(7)).
func routeProtocol(p byte) string {
	switch p {
	case 16:
		return "dhcp"
	case 186:
		return "bgp"
	case 188:
		return "ospf"
	case 9:
		return "ra"
	case 12:
		return "bird"
	case 11:
		return "zebra"
	}
	return name(int(p), "unspec", "redirect", "kernel", "boot", "static")
}

func name(i int, names ...string) string {
	if i < len(names) {
		return names[i]
	}
	return strconv.Itoa(i)
}
