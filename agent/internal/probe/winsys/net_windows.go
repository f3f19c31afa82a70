package winsys

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winbytes"
)

// Routes are the rows of GetIpForwardTable2, of both families.
func (System) Routes() ([]byte, error) {
	return mib("GetIpForwardTable2", winbytes.RouteSize, windows.AF_UNSPEC)
}

// Neighbours are the rows of GetIpNetTable2: ARP and its like of IPv6.
func (System) Neighbours() ([]byte, error) {
	return mib("GetIpNetTable2", winbytes.NeighbourSize, windows.AF_UNSPEC)
}

// Addresses are the rows of GetUnicastIpAddressTable.
func (System) Addresses() ([]byte, error) {
	return mib("GetUnicastIpAddressTable", winbytes.AddressSize, windows.AF_UNSPEC)
}

// Interfaces are the rows of GetIfTable2.
func (System) Interfaces() ([]byte, error) {
	return mib("GetIfTable2", winbytes.InterfaceSize)
}

// mib copies the rows of a table that the system made.
func mib(name string, size int, args ...uintptr) ([]byte, error) {
	call, err := find(iphlpapi, name)
	if err != nil {
		return nil, err
	}
	// Rows begin at a multiple of 8. What stands in a slice as a number must not move with the
	// stack, and is kept by name.
	at := new(*uint64)
	pinned := new(runtime.Pinner)
	pinned.Pin(at)
	r, _, _ := call.Call(append(args, uintptr(unsafe.Pointer(at)))...)
	pinned.Unpin()
	table := *at
	if r != 0 {
		if windows.Errno(r) == windows.ERROR_NOT_FOUND { // there are none
			return nil, nil
		}
		return nil, fmt.Errorf("%s: %w", name, told(windows.Errno(r)))
	}
	if table == nil {
		return nil, nil
	}
	defer windows.FreeMibTable(unsafe.Pointer(table))
	n := int(*(*uint32)(unsafe.Pointer(table)))
	if n <= 0 || n > maxSockets/size {
		return nil, nil
	}
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(table), 8)), n*size)...), nil
}

// Resolver is what an adapter asks for names.
type Resolver struct {
	Index       uint32
	Name        []uint16
	Nameservers []string
	Suffixes    []string
	DHCPServer  string
	Gateways    []string
}

// Resolvers are from GetAdaptersAddresses.
func (System) Resolvers() ([]Resolver, error) {
	const flags = windows.GAA_FLAG_SKIP_UNICAST | windows.GAA_FLAG_SKIP_ANYCAST | windows.GAA_FLAG_SKIP_MULTICAST | windows.GAA_FLAG_INCLUDE_GATEWAYS
	for size := uint32(32 << 10); size <= maxSockets; size *= 2 {
		words := make([]uint64, size/8)
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&words[0]))
		n := size
		err := windows.GetAdaptersAddresses(windows.AF_UNSPEC, flags, 0, first, &n)
		switch err {
		case nil:
			var list []Resolver
			for a := first; a != nil; a = a.Next {
				list = append(list, resolver(a))
			}
			return list, nil
		case windows.ERROR_BUFFER_OVERFLOW:
		case windows.ERROR_NO_DATA:
			return nil, nil
		default:
			return nil, fmt.Errorf("GetAdaptersAddresses: %w", told(err))
		}
	}
	return nil, fmt.Errorf("GetAdaptersAddresses: the answer is larger than %d bytes", maxSockets)
}

func resolver(a *windows.IpAdapterAddresses) Resolver {
	r := Resolver{Index: max(a.IfIndex, a.Ipv6IfIndex), Name: units(a.FriendlyName)}
	for s := a.FirstDnsServerAddress; s != nil; s = s.Next {
		r.Nameservers = append(r.Nameservers, s.Address.IP().String())
	}
	for g := a.FirstGatewayAddress; g != nil; g = g.Next {
		r.Gateways = append(r.Gateways, g.Address.IP().String())
	}
	if s, _ := winbytes.Text16(units(a.DnsSuffix)); s != "" {
		r.Suffixes = append(r.Suffixes, s)
	}
	for s := a.FirstDnsSuffix; s != nil; s = s.Next {
		text, _ := winbytes.Text16(units(&s.String[0]))
		r.Suffixes = append(r.Suffixes, text)
	}
	if a.Dhcpv4Server.Sockaddr != nil {
		r.DHCPServer = a.Dhcpv4Server.IP().String()
	}
	return r
}

// maxUnits bounds a text that ends with a zero.
const maxUnits = 32768

// units are those of a text of the system's that ends with a zero.
func units(p *uint16) []uint16 {
	if p == nil {
		return nil
	}
	for n := range maxUnits {
		if *(*uint16)(unsafe.Add(unsafe.Pointer(p), 2*n)) == 0 {
			return append([]uint16(nil), unsafe.Slice(p, n)...)
		}
	}
	return append([]uint16(nil), unsafe.Slice(p, maxUnits)...)
}
