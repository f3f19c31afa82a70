// Package adapters lists Windows' network adapters with what is configured on them. It
// knows nothing of what follows from that.
package adapters

import "net/netip"

// Adapter is one network adapter.
type Adapter struct {
	// Name is what people call it, Description what its driver does.
	Name, Description string
	// Type is its IfType (IANA ifType-MIB): 6 Ethernet, 23 PPP, 71 Wi-Fi, 131 tunnel.
	Type uint32
	Up   bool
	// Addresses, Gateways and Resolvers are in the order of Windows, without zones.
	Addresses, Gateways, Resolvers []netip.Addr
}
