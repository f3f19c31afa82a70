//go:build linux

package nft

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/sorted"
)

// table, chain and rule are what is asked of the kernel, and what it answers.
type table struct {
	family byte
	name   string
	flags  uint32
	owner  uint32 // the netlink port of who may change it, in an answer
	chains []chain
}

type chain struct {
	name  string
	hook  *hook // nil: reached by a jump only
	rules []rule
}

type hook struct {
	num, policy uint32
	priority    int32
	kind        string // always "filter" here
	flags       uint32 // offload, in an answer
	devices     []string
}

type rule struct {
	comment string
	exprs   []expr
}

// families are those of our two tables, in the order in which they are written.
var families = [...]byte{unix.NFPROTO_INET, unix.NFPROTO_NETDEV}

// The priorities: before everything that others usually install. The order matters
// for what is counted, not for what is dropped.
const (
	inetFirst   int32 = -450 // before raw, -300, and conntrack, -200
	deviceFirst int32 = -500
)

// The rules that stand at both ends of a device chain.
const (
	permitIn  = "permit_in"
	permitOut = "permit_out"
)

// plan says what must be in force for a policy, on a kernel with these features and
// these devices.
func plan(name string, p isolate.Policy, feat features, links []string) []table {
	var flags uint32
	if feat.hold {
		flags = flagsHeld
	}
	inet := table{family: unix.NFPROTO_INET, name: name, flags: flags, chains: []chain{
		base("in", unix.NF_INET_LOCAL_IN, inetFirst, permits(p, true, false)),
		base("out", unix.NF_INET_LOCAL_OUT, inetFirst, permits(p, false, false)),
		base("forward", unix.NF_INET_FORWARD, inetFirst, nil),
	}}
	if !feat.netdev {
		return []table{inet}
	}
	// The permits stand once and are jumped to, so that a hundred devices do not make
	// a hundred copies.
	netdev := table{family: unix.NFPROTO_NETDEV, name: name, flags: flags}
	netdev.chains = append(netdev.chains, chain{name: permitIn, rules: permits(p, true, true)})
	if feat.egress {
		netdev.chains = append(netdev.chains, chain{name: permitOut, rules: permits(p, false, true)})
	}
	for _, l := range links {
		netdev.chains = append(netdev.chains, deviceChains(l, feat)...)
	}
	return []table{inet, netdev}
}

func ingressName(link string) string { return "in_" + link }
func egressName(link string) string  { return "out_" + link }

func deviceChains(link string, feat features) []chain {
	one := func(name string, num uint32, permit string) chain {
		c := base(name, num, deviceFirst, []rule{{"permits", []expr{jumpTo(permit)}}})
		c.hook.devices = []string{link}
		return c
	}
	cs := []chain{one(ingressName(link), unix.NF_NETDEV_INGRESS, permitIn)}
	if feat.egress {
		cs = append(cs, one(egressName(link), unix.NF_NETDEV_EGRESS, permitOut))
	}
	return cs
}

// dropComment names the last rule of every base chain, whose counter tells how many
// packets were cut there.
const dropComment = "drop"

func base(name string, num uint32, priority int32, rules []rule) chain {
	return chain{
		name:  name,
		hook:  &hook{num: num, priority: priority, policy: drop, kind: "filter"},
		rules: append(rules, rule{dropComment, []expr{counter(), verdict(drop)}}),
	}
}

func permit(comment string, parts ...[]expr) rule {
	return rule{comment, append(slices.Concat(parts...), counter(), verdict(accept))}
}

// permits are the rules for one direction. At a device there is no loopback, but there
// are the protocols below IP without which no packet reaches the next hop.
func permits(p isolate.Policy, in, device bool) []rule {
	var rs []rule
	switch {
	case device:
		rs = append(rs,
			permit("ARP", meta(unix.NFT_META_PROTOCOL, be16(unix.ETH_P_ARP))),
			// Wi-Fi and 802.1X ports renew their keys with these frames; without them the
			// way home is gone within the hour. Switches and access points end them.
			permit("EAPOL", meta(unix.NFT_META_PROTOCOL, be16(unix.ETH_P_PAE))))
	case in:
		rs = append(rs, permit("loopback", meta(unix.NFT_META_IIF, host32(loopbackIndex))))
	default:
		rs = append(rs, permit("loopback", meta(unix.NFT_META_OIF, host32(loopbackIndex))))
	}
	f := filter{in: in, device: device}
	for _, c := range p.Collectors {
		if in {
			rs = append(rs, f.fromCollector(c), f.tooBig(c))
		} else {
			rs = append(rs, f.toCollector(c, p.Mark))
		}
	}
	for _, m := range p.Ways() {
		rs = append(rs, f.permitted(m)...)
	}
	for _, t := range p.Tunnels {
		rs = append(rs, f.carried(t)...)
	}
	rs = append(rs, f.dhcp(p)...)
	return append(rs, f.neighbours(p)...)
}

// loopbackIndex is the index of the loopback device in every network namespace
// (LOOPBACK_IFINDEX, include/net/net_namespace.h). A name could be taken by another.
const loopbackIndex = 1

// filter builds the permits of one direction and one layer.
type filter struct{ in, device bool }

func (f filter) ip(four bool) []expr {
	if f.device {
		if four {
			return meta(unix.NFT_META_PROTOCOL, be16(unix.ETH_P_IP))
		}
		return meta(unix.NFT_META_PROTOCOL, be16(unix.ETH_P_IPV6))
	}
	if four {
		return meta(unix.NFT_META_NFPROTO, []byte{unix.NFPROTO_IPV4})
	}
	return meta(unix.NFT_META_NFPROTO, []byte{unix.NFPROTO_IPV6})
}

func proto(n byte) []expr { return meta(unix.NFT_META_L4PROTO, []byte{n}) }

// Offsets of addresses and hop limit in the IP headers (RFC 791, RFC 8200).
const (
	src4, dst4            = 12, 16
	hop6, src6, dst6      = 7, 8, 24
	icmpData              = 8 // the packet that an ICMP error is about (RFC 792, RFC 4443)
	size4, size6          = 20, 40
	proto4, next6         = 9, 6
	tcpDestination        = 2
	tcpFlags              = 13
	synBit, ackBit   byte = 0x02, 0x10
)

func source(a netip.Addr) []expr {
	if a.Is4() {
		return network(src4, a.AsSlice())
	}
	return network(src6, a.AsSlice())
}

func destination(a netip.Addr) []expr {
	if a.Is4() {
		return network(dst4, a.AsSlice())
	}
	return network(dst6, a.AsSlice())
}

func (f filter) toCollector(c netip.AddrPort, mark uint32) rule {
	var m []expr
	if mark != 0 {
		m = meta(unix.NFT_META_MARK, host32(mark))
	}
	return permit("to collector "+c.String(), m, f.ip(c.Addr().Is4()), destination(c.Addr()),
		proto(unix.IPPROTO_TCP), transport(tcpDestination, be16(c.Port())))
}

// fromCollector lets answers in, but no attempt to connect: a bare SYN.
func (f filter) fromCollector(c netip.AddrPort) rule {
	return permit("from collector "+c.String(), f.ip(c.Addr().Is4()), source(c.Addr()),
		proto(unix.IPPROTO_TCP), transport(0, be16(c.Port())), noBareSYN())
}

func noBareSYN() []expr {
	return []expr{load(unix.NFT_PAYLOAD_TRANSPORT_HEADER, tcpFlags, 1), mask([]byte{synBit | ackBit}), not([]byte{synBit})}
}

// tooBig lets in the routers' word that a packet of ours to the collector was too big
// for the path (RFC 1191, RFC 8201), and no other ICMP error. Without it a collector
// behind a tunnel is reached by small packets only.
func (f filter) tooBig(c netip.AddrPort) rule {
	name := "too big for collector " + c.String()
	if c.Addr().Is4() {
		return permit(name, f.ip(true), proto(unix.IPPROTO_ICMP), transport(0, []byte{3, 4}),
			transport(icmpData, []byte{0x45}), // version 4, no options: what we send
			transport(icmpData+proto4, []byte{unix.IPPROTO_TCP}),
			transport(icmpData+dst4, c.Addr().AsSlice()),
			transport(icmpData+size4+tcpDestination, be16(c.Port())))
	}
	return permit(name, f.ip(false), proto(unix.IPPROTO_ICMPV6), transport(0, []byte{2}),
		transport(icmpData+next6, []byte{unix.IPPROTO_TCP}),
		transport(icmpData+dst6, c.Addr().AsSlice()),
		transport(icmpData+size6+tcpDestination, be16(c.Port())))
}

var (
	linkLocal6   = netip.MustParsePrefix("fe80::/10")
	linkScope6   = netip.MustParsePrefix("ff02::/16")
	dhcpServers6 = netip.MustParseAddr("ff02::1:2")
	broadcast4   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	mldRouters   = netip.MustParseAddr("ff02::16")
)

func ports(src, dst uint16) []expr { return transport(0, append(be16(src), be16(dst)...)) }

// dhcp keeps the address (RFC 2131, RFC 8415): requests go to broadcast, to known
// servers or to the link's DHCPv6 servers, so the ports are no way out.
func (f filter) dhcp(p isolate.Policy) []rule {
	udp := proto(unix.IPPROTO_UDP)
	if f.in {
		return []rule{
			permit("DHCPv4 answer", f.ip(true), udp, ports(67, 68)),
			permit("DHCPv6 answer", f.ip(false), inPrefix(src6, linkLocal6), udp, ports(547, 546)),
		}
	}
	rs := []rule{permit("DHCPv4 broadcast", f.ip(true), destination(broadcast4), udp, ports(68, 67))}
	for _, s := range p.DHCPServers {
		rs = append(rs, permit("DHCPv4 to "+s.String(), f.ip(true), destination(s), udp, ports(68, 67)))
	}
	return append(rs, permit("DHCPv6", f.ip(false), destination(dhcpServers6), udp, ports(546, 547)))
}

// neighbours keeps IPv6 working on the link (RFC 4861), and the link's switches sending
// us its multicast (RFC 3810). Hop limit 255 and 1 mean that no router passed it on;
// what leaves goes to the link or to the collector, so this is no way out either.
func (f filter) neighbours(p isolate.Policy) []rule {
	icmp := func(comment string, hops, typ byte, more []expr) rule {
		return permit(comment, f.ip(false), proto(unix.IPPROTO_ICMPV6), network(hop6, []byte{hops}),
			transport(0, []byte{typ}), more)
	}
	const solicitRouter, advertiseRouter, solicit, advertise, mldQuery, mldReport = 133, 134, 135, 136, 130, 143
	if f.in {
		return []rule{
			icmp("router advertisement", 255, advertiseRouter, inPrefix(src6, linkLocal6)),
			icmp("neighbour solicitation", 255, solicit, nil),
			icmp("neighbour advertisement", 255, advertise, nil),
			icmp("multicast query", 1, mldQuery, inPrefix(src6, linkLocal6)),
		}
	}
	rs := []rule{icmp("multicast report", 1, mldReport, destination(mldRouters))}
	for _, typ := range []byte{solicitRouter, solicit, advertise} {
		name := fmt.Sprintf("neighbour discovery %d", typ)
		rs = append(rs,
			icmp(name+" to the link", 255, typ, inPrefix(dst6, linkScope6)),
			icmp(name+" to a neighbour", 255, typ, inPrefix(dst6, linkLocal6)))
		if typ == solicitRouter {
			continue
		}
		for _, n := range on6(p) {
			rs = append(rs, icmp(name+" to "+n.String(), 255, typ, inPrefix(dst6, n)))
		}
	}
	return rs
}

// on6 are the IPv6 networks to which something may be sent.
func on6(p isolate.Policy) (ns []netip.Prefix) {
	for _, c := range p.Collectors {
		if c.Addr().Is6() {
			ns = append(ns, netip.PrefixFrom(c.Addr(), 128))
		}
	}
	for _, m := range p.Permits {
		if m.Network.Addr().Is6() {
			ns = append(ns, m.Network)
		}
	}
	for _, t := range p.Tunnels {
		if t.Address.Is6() {
			ns = append(ns, netip.PrefixFrom(t.Address, 128))
		}
	}
	sorted.Func(ns, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Compact(ns)
}
