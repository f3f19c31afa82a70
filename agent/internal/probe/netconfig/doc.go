// Package netconfig is the probe of how the endpoint is attached to networks. It
// knows nothing of connections or of firewalls.
//
// What evidence: interfaces, addresses, routes of all tables and the policy rules
// that choose among them, neighbours (who was talked to on the wire in the last minutes,
// and who pretends to be the gateway), the resolver's configuration and /etc/hosts, which malware edits to hide update servers.
//
// Source of truth: Linux: rtnetlink(7) dumps of the agent's own network namespace;
// resolv.conf(5) at its usual places, whole, and hosts(5). Windows: GetIpNetTable2,
// GetIfTable2, GetUnicastIpAddressTable, GetIpForwardTable2, GetAdaptersAddresses, hosts.
//
// Privileges: none.
//
// Footprint: five netlink dumps and reads of small files. Nothing is sent to any
// network, no name is looked up.
//
// Volatility: Presence. Neighbours fade within minutes, so this runs before isolation
// changes what they are.
//
// Blind spots: other network namespaces (containers); tunnels' keys and Wi-Fi names; resolvers that programs bring along (DNS over HTTPS); a hosts file
// longer than 20,000 lines is cut and says so.
package netconfig
