package winbytes

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Sizes of the rows of the tables of netioapi.h. In an answer they stand behind one another.
const (
	RouteSize     = 104  // MIB_IPFORWARD_ROW2
	NeighbourSize = 88   // MIB_IPNET_ROW2
	AddressSize   = 80   // MIB_UNICASTIPADDRESS_ROW
	InterfaceSize = 1352 // MIB_IF_ROW2
)

// Families of addresses (ws2def.h).
const (
	afInet  = 2
	afInet6 = 23
)

// sockaddr reads a SOCKADDR_INET, 28 bytes; of another family it is not valid.
func (v *view) sockaddr(off int) netip.Addr {
	switch v.u16(off) {
	case afInet:
		return netip.AddrFrom4([4]byte(v.at(off+4, 4)))
	case afInet6:
		return netip.AddrFrom16([16]byte(v.at(off+8, 16)))
	}
	return netip.Addr{}
}

// each calls f with every row of a size; the error says that the last is not whole.
func each(b []byte, size int, what string, f func(v *view)) error {
	for ; len(b) >= size; b = b[size:] {
		f(&view{b: b[:size]})
	}
	if len(b) > 0 {
		return fmt.Errorf("read %s: %w", what, ErrShort)
	}
	return nil
}

// Route is one row of the routing table.
type Route struct {
	Index       uint32 // of the interface
	Destination netip.Prefix
	Gateway     netip.Addr // not valid, or unspecified, where it is on the link
	Metric      uint32     // to which that of the interface is added
	Protocol    string
	Valid       uint32 // seconds; the largest number is for ever
}

// Routes reads rows of MIB_IPFORWARD_ROW2.
func Routes(b []byte) (list []Route, err error) {
	err = each(b, RouteSize, "routes", func(v *view) {
		list = append(list, Route{
			Index: v.u32(8), Destination: netip.PrefixFrom(v.sockaddr(12), int(v.b[40])), Gateway: v.sockaddr(44),
			Metric: v.u32(84), Protocol: routeProtocol(v.u32(88)), Valid: v.u32(76),
		})
	})
	return list, err
}

// routeProtocol is NL_ROUTE_PROTOCOL (nldef.h).
func routeProtocol(n uint32) string {
	names := map[uint32]string{1: "other", 2: "local", 3: "static", 4: "icmp", 8: "rip", 13: "ospf", 14: "bgp", 19: "dhcp", 10002: "autostatic", 10006: "static", 10007: "static_non_dod"}
	if s := names[n]; s != "" {
		return s
	}
	return fmt.Sprint(n)
}

// Neighbour is who answers for an address on the link.
type Neighbour struct {
	Index   uint32
	Address netip.Addr
	MAC     string
	State   string
}

// Neighbours reads rows of MIB_IPNET_ROW2.
func Neighbours(b []byte) (list []Neighbour, err error) {
	err = each(b, NeighbourSize, "neighbours", func(v *view) {
		n := Neighbour{Address: v.sockaddr(0), Index: v.u32(28), State: neighbourState(v.u32(76))}
		if k := v.u32(72); k > 0 && k <= 32 {
			n.MAC = net.HardwareAddr(v.at(40, int(k))).String()
		}
		list = append(list, n)
	})
	return list, err
}

// neighbourState is NL_NEIGHBOR_STATE (nldef.h).
func neighbourState(n uint32) string {
	names := [...]string{"unreachable", "incomplete", "probe", "delay", "stale", "reachable", "permanent"}
	if n < uint32(len(names)) {
		return names[n]
	}
	return fmt.Sprint(n)
}

// Address is an address of an interface.
type Address struct {
	Index   uint32
	Prefix  netip.Prefix
	State   string // of the search for duplicates (NL_DAD_STATE)
	Origin  string // who set it (NL_PREFIX_ORIGIN)
	Valid   uint32 // seconds; the largest number is for ever
	Created time.Time
}

// Addresses reads rows of MIB_UNICASTIPADDRESS_ROW.
func Addresses(b []byte) (list []Address, err error) {
	err = each(b, AddressSize, "addresses", func(v *view) {
		list = append(list, Address{
			Index: v.u32(40), Prefix: netip.PrefixFrom(v.sockaddr(0), int(v.b[60])), Valid: v.u32(52), Created: Time(v.i64(72)),
			State: numbered(v.u32(64), "invalid", "tentative", "duplicate", "deprecated", "preferred"), Origin: numbered(v.u32(44), "other", "manual", "well_known", "dhcp", "ra"),
		})
	})
	return list, err
}

func numbered(n uint32, names ...string) string {
	if n < uint32(len(names)) {
		return names[n]
	}
	return fmt.Sprint(n)
}

// Interface is an adapter, or what looks like one.
type Interface struct {
	Index uint32
	// Alias is the name that people gave it, Description that of its maker.
	Alias, Description string
	MAC, PermanentMAC  string
	MTU                uint32
	Kind               string
	Oper               string
	Hardware           bool
}

// Interfaces reads rows of MIB_IF_ROW2.
func Interfaces(b []byte) (list []Interface, err error) {
	err = each(b, InterfaceSize, "interfaces", func(v *view) {
		i := Interface{
			Index: v.u32(8), Alias: text(v.at(28, 514)), Description: text(v.at(542, 514)), MTU: v.u32(1124), Kind: interfaceKind(v.u32(1128)),
			Oper: numbered(v.u32(1156), "unknown", "up", "down", "testing", "unknown", "dormant", "not_present", "lower_layer_down"), Hardware: v.b[1152]&1 != 0,
		}
		if k := int(v.u32(1056)); k > 0 && k <= 32 {
			i.MAC, i.PermanentMAC = net.HardwareAddr(v.at(1060, k)).String(), net.HardwareAddr(v.at(1092, k)).String()
		}
		list = append(list, i)
	})
	return list, err
}

// text reads UTF-16 up to a zero.
func text(b []byte) string {
	for i := 0; i+1 < len(b); i += 2 {
		if binary.LittleEndian.Uint16(b[i:]) == 0 {
			b = b[:i]
			break
		}
	}
	s, _ := Text(b)
	return s
}

// interfaceKind is IFTYPE (ipifcons.h), of which the common have names.
func interfaceKind(n uint32) string {
	names := map[uint32]string{6: "ethernet", 23: "ppp", 24: "loopback", 53: "virtual", 71: "wifi", 131: "tunnel", 243: "mobile", 244: "mobile"}
	if s := names[n]; s != "" {
		return s
	}
	return fmt.Sprint(n)
}
