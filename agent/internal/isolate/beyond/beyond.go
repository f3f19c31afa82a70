// Package beyond says what of a Windows endpoint the filters of its own network stack do
// not reach, or what may close the way to the collector besides them: virtual machines,
// VPNs and proxies. It changes nothing and knows nothing of rules or orders.
package beyond

import (
	"fmt"
	"slices"
	"strings"

	"hozen/internal/winapi/adapters"
)

// Facts are what was found on an endpoint.
type Facts struct {
	// Running are the names of those services of virtual machines that run.
	Running []string
	// Forwarding is what may pass on packets of others: names of services that run, and the
	// setting that has the network stack do it.
	Forwarding []string
	// Distributions are the names of the Linux systems that accounts have installed (WSL).
	Distributions []string
	// Adapters are the network adapters.
	Adapters []adapters.Adapter
	// Proxies are those that are configured, such as "192.0.2.8:3128" or the address of a
	// script.
	Proxies []string
	// Unread says in English what could not be found out.
	Unread []string
}

// services are those behind which other systems run on this one, each with what it is.
var services = map[string]string{
	"vmcompute":      "Hyper-V Host Compute Service (WSL 2, containers, Windows Sandbox)",
	"vmms":           "Hyper-V Virtual Machine Management",
	"WslService":     "WSL",
	"LxssManager":    "WSL",
	"VMAuthdService": "VMware",
	"VMnetDHCP":      "VMware NAT and DHCP",
	"VBoxSDS":        "VirtualBox",
}

// forwarders are services with which this PC connects others to the network.
var forwarders = map[string]string{
	"SharedAccess": "Internet Connection Sharing",
	"icssvc":       "Windows Mobile Hotspot",
	"RemoteAccess": "Routing and Remote Access",
}

// What names of adapters tell, in small letters.
var (
	virtualNames = []string{"hyper-v", "vethernet", "vmware", "virtualbox", "wsl"}
	vpnNames     = []string{"wireguard", "wintun", "tap-windows", "openvpn", "vpn", "anyconnect", "globalprotect", "fortinet", "zscaler", "tailscale", "zerotier"}
)

// Types of adapters that carry other networks (IANA ifType-MIB).
const (
	typePPP    = 23
	typeTunnel = 131
)

// limitsMax bounds how many of one kind are named.
const limitsMax = 8

// Limits says it in English, one sentence each.
func (f Facts) Limits() (out []string) {
	var running []string
	for _, s := range f.Running {
		running = append(running, fmt.Sprintf("%s (%s)", s, services[s]))
	}
	if len(running) > 0 {
		out = append(out, "other systems may run on this PC, and what they send through a virtual switch passes these filters by; it is not covered: "+list(running))
	}
	var forwarding []string
	for _, s := range f.Forwarding {
		if what := forwarders[s]; what != "" {
			s += " (" + what + ")"
		}
		forwarding = append(forwarding, s)
	}
	if len(forwarding) > 0 {
		out = append(out, "this PC may connect others to the network, which are cut with it: what passes its network stack is blocked, what drivers pass on by themselves is not covered: "+list(forwarding))
	}
	if len(f.Distributions) > 0 {
		out = append(out, "Linux systems are installed (WSL); with WSL 2 what they send passes these filters by: "+list(f.Distributions))
	}
	var virtual, vpn []string
	for _, a := range f.Adapters {
		name := strings.ToLower(a.Name + " " + a.Description)
		in := func(s string) bool { return strings.Contains(name, s) }
		switch {
		case !a.Up:
		case slices.ContainsFunc(virtualNames, in):
			virtual = append(virtual, fmt.Sprintf("%q", a.Description))
		case a.Type == typePPP || slices.ContainsFunc(vpnNames, in):
			vpn = append(vpn, fmt.Sprintf("%q", a.Description))
		case a.Type == typeTunnel && !in("teredo") && !in("isatap") && !in("6to4"):
			vpn = append(vpn, fmt.Sprintf("%q", a.Description))
		}
	}
	if len(virtual) > 0 {
		out = append(out, "adapters of virtual machines are up; what guests send is not covered: "+list(virtual))
	}
	if len(vpn) > 0 {
		out = append(out, "VPN adapters are up; what carries a VPN is cut, so a collector that is reached only through it is not reached: "+list(vpn))
	}
	if len(f.Proxies) > 0 {
		out = append(out, "proxies are configured, which the agent does not use; they are cut like everything else: "+list(f.Proxies))
	}
	for _, u := range f.Unread {
		out = append(out, "not found out: "+u)
	}
	return out
}

func list(names []string) string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	more := ""
	if len(names) > limitsMax {
		more = fmt.Sprintf(" and %d more", len(names)-limitsMax)
		names = names[:limitsMax]
	}
	for i, n := range names {
		names[i] = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, n)
	}
	return strings.Join(names, ", ") + more
}

// winHTTP reads the value WinHttpSettings of the registry, in which services find their
// proxy: three numbers of 32 bits, the third with the bit 2 for a proxy, then a text with
// its length before it.
func winHTTP(b []byte) (proxy string) {
	n := func(at int) uint32 {
		return uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16 | uint32(b[at+3])<<24
	}
	if len(b) < 16 || n(8)&2 == 0 {
		return ""
	}
	size := n(12)
	if uint64(size) > uint64(len(b)-16) {
		return ""
	}
	return string(b[16 : 16+size])
}
