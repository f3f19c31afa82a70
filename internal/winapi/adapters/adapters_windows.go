package adapters

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// List lists the adapters (GetAdaptersAddresses), loopback ones left out. What stands in one
// that cannot be read is missing.
func List() ([]Adapter, error) {
	const flags = windows.GAA_FLAG_INCLUDE_GATEWAYS | windows.GAA_FLAG_SKIP_ANYCAST | windows.GAA_FLAG_SKIP_MULTICAST
	size := uint32(16 << 10)
	for range 8 { // adapters appear while they are asked for
		b := make([]uint64, (size+7)/8)
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&b[0]))
		err := windows.GetAdaptersAddresses(windows.AF_UNSPEC, flags, 0, first, &size)
		switch {
		case err == nil:
			return read(first), nil
		case errors.Is(err, windows.ERROR_BUFFER_OVERFLOW):
			size += 4 << 10
		case errors.Is(err, windows.ERROR_NO_DATA):
			return nil, nil
		default:
			return nil, fmt.Errorf("list network adapters: %w", err)
		}
	}
	return nil, errors.New("list network adapters: they do not hold still")
}

func read(a *windows.IpAdapterAddresses) (out []Adapter) {
	for ; a != nil; a = a.Next {
		if a.IfType == windows.IF_TYPE_SOFTWARE_LOOPBACK {
			continue
		}
		n := Adapter{Name: windows.UTF16PtrToString(a.FriendlyName), Description: windows.UTF16PtrToString(a.Description),
			Type: a.IfType, Up: a.OperStatus == windows.IfOperStatusUp}
		for u := a.FirstUnicastAddress; u != nil; u = u.Next {
			n.Addresses = add(n.Addresses, u.Address)
		}
		for g := a.FirstGatewayAddress; g != nil; g = g.Next {
			n.Gateways = add(n.Gateways, g.Address)
		}
		for r := a.FirstDnsServerAddress; r != nil; r = r.Next {
			n.Resolvers = add(n.Resolvers, r.Address)
		}
		out = append(out, n)
	}
	return out
}

func add(to []netip.Addr, s windows.SocketAddress) []netip.Addr {
	if a, ok := netip.AddrFromSlice(s.IP()); ok {
		return append(to, a.Unmap())
	}
	return to
}

// Wine reports whether this is Wine and no Windows (wine_get_version of its ntdll).
func Wine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
