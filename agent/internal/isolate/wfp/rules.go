package wfp

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/sorted"
)

// who is the agent, as the engine knows it.
type who struct {
	// app is the application id of its program: the path in the kernel's form, in lower
	// case, as UTF-16 with its end.
	app []byte
	// sid is the SID of its service.
	sid []byte
}

// plan is what must be in force for a clean policy: our provider, our sublayer and all
// filters.
func plan(p isolate.Policy, agent who) installed {
	b := builder{agent: agent}
	for _, l := range layers {
		b.layer(p, l)
	}
	return installed{
		provider:  &provider{key: ProviderKey, name: "Hozen", flags: objectPersistent},
		sublayers: []sublayer{{key: SublayerKey, name: "Hozen isolation", flags: objectPersistent, provider: ProviderKey, weight: sublayerWeight}},
		filters:   b.filters,
	}
}

// retired are the names of filters of the start that older versions put in force: nobody
// promised that a list has them.
var retired = [...]string{"DHCPv4 answer accept4 at boot", "DHCPv6 answer accept6 at boot"}

// fixedKeys are those of the filters that every policy has, or had.
func fixedKeys() (keys []GUID) {
	for _, name := range retired {
		keys = append(keys, filterKey(name))
	}
	for _, f := range plan(isolate.Policy{}, who{}).filters {
		keys = append(keys, f.key)
	}
	return keys
}

type builder struct {
	agent   who
	filters []filter
}

// lasting says when a filter is in force. What depends on a policy is never there at the
// start, so that the keys of what is are known without the policy.
type lasting bool

const (
	// always: also while the endpoint starts, before BFE runs.
	always lasting = true
	// later: from when BFE runs; the agent, whose it is, starts after that.
	later lasting = false
)

func (b *builder) add(l layer, what string, last lasting, weight uint8, action, flags uint32, cs ...condition) {
	lives := []struct {
		flag uint32
		name string
	}{{filterPersistent, ""}, {filterBootTime, " at boot"}}
	if last == later {
		lives = lives[:1]
	}
	for _, life := range lives {
		name := what + " " + l.name + life.name
		b.filters = append(b.filters, filter{
			key: filterKey(name), name: namePrefix + name, flags: life.flag | flags, provider: ProviderKey,
			layer: l.key, sublayer: SublayerKey, weight: u8(weight), conditions: cs, action: action,
		})
	}
}

func (b *builder) permit(l layer, what string, weight uint8, cs ...condition) {
	b.add(l, what, always, weight, actionPermit, 0, cs...)
}

// layer builds the filters of one layer. What is passed on for others is only blocked.
func (b *builder) layer(p isolate.Policy, l layer) {
	if !l.forward {
		b.permissions(p, l)
	}
	b.add(l, "block all", always, weightBlock, actionBlock, 0)
}

// permissions are all but the last filter of a layer.
func (b *builder) permissions(p isolate.Policy, l layer) {
	if l.out {
		b.collectors(p, l)
	}
	b.permits(p, l)
	b.tunnels(p, l)
	b.permit(l, "loopback", weightLoopback, condition{fieldFlags, matchFlagsAll, u32(conditionLoopback)})
	if l.six {
		b.dhcp6(l)
		b.neighbours(p, l)
	} else {
		b.dhcp4(p, l)
	}
}

// collectors opens the way home to the agent alone. It is a hard permit: no other firewall
// of this endpoint closes it, short of a driver's veto.
func (b *builder) collectors(p isolate.Policy, l layer) {
	for _, c := range p.Collectors {
		if c.Addr().Is4() == l.six {
			continue
		}
		b.add(l, "collector "+c.String(), later, weightCollector, actionPermit, filterHard,
			condition{fieldApp, matchEqual, value{kind: typeBlob, bytes: b.agent.app}},
			condition{fieldUser, matchEqual, value{kind: typeSD, bytes: descriptor(b.agent.sid)}},
			protocol(protocolTCP), remote(single(c.Addr())), remotePort(c.Port()))
	}
}

// permits opens what selective isolation permits, to every program that the endpoint's own
// firewall lets there. The engine keeps state: what is opened out is answered.
func (b *builder) permits(p isolate.Policy, l layer) {
	if !l.out {
		return
	}
	for _, m := range p.Ways() {
		if m.Network.Addr().Is4() == l.six {
			continue
		}
		number := uint8(protocolTCP)
		if m.Protocol == isolate.UDP {
			number = protocolUDP
		}
		b.add(l, "permit "+m.String(), later, weightPermitted, actionPermit, 0,
			protocol(number), remote(m.Network), ports(fieldRemotePort, m.First, m.Last))
	}
}

// tunnels opens what carries tunnels to the collector, whoever sends it. A TCP connection
// is let in only as an answer.
func (b *builder) tunnels(p isolate.Policy, l layer) {
	for _, t := range p.Tunnels {
		if t.Address.Is4() == l.six || !l.out && t.Protocol == isolate.ProtocolTCP {
			continue
		}
		cs := []condition{protocol(t.Protocol), remote(single(t.Address))}
		switch {
		case !l.out && t.Own != 0:
			cs = append(cs, localPort(t.Own))
		case t.Port != 0:
			cs = append(cs, remotePort(t.Port))
		}
		name := "tunnel " + t.String()
		if t.Own != 0 {
			name += fmt.Sprintf(" own %d", t.Own)
		}
		b.add(l, name, later, weightPermitted, actionPermit, 0, cs...)
	}
}

var (
	linkLocal6    = netip.MustParsePrefix("fe80::/10")
	allNodes6     = netip.MustParsePrefix("ff02::1/128")
	allRouters6   = netip.MustParsePrefix("ff02::2/128")
	mldRouters6   = netip.MustParsePrefix("ff02::16/128")
	solicited6    = netip.MustParsePrefix("ff02::1:ff00:0/104")
	dhcpServers6  = netip.MustParsePrefix("ff02::1:2/128")
	dhcpBroadcast = netip.MustParsePrefix("255.255.255.255/32")
)

// dhcpClient is Windows' service that asks for addresses, of both kinds. A permit of what
// comes in, or of what is answered, is a channel in both directions, so it is its alone. No
// such permit stands at the start: the service asks anew after 4, 8, 16 seconds and more,
// when BFE runs and knows who asks.
func dhcpClient() condition {
	return condition{fieldUser, matchEqual, value{kind: typeSD, bytes: descriptor(serviceSID("Dhcp"))}}
}

// dhcp4 keeps the address (RFC 2131): requests go to broadcast or to known servers.
func (b *builder) dhcp4(p isolate.Policy, l layer) {
	udp := []condition{protocol(protocolUDP), localPort(68), remotePort(67)}
	if !l.out {
		b.add(l, "DHCPv4 answer", later, weightConfigured, actionPermit, 0, append(udp, dhcpClient())...)
		return
	}
	b.permit(l, "DHCPv4 broadcast", weightConfigured, append(slices.Clone(udp), remote(dhcpBroadcast))...)
	for _, s := range p.DHCPServers {
		b.add(l, "DHCPv4 to "+s.String(), later, weightConfigured, actionPermit, 0, append(slices.Clone(udp), dhcpClient(), remote(single(s)))...)
	}
}

// dhcp6 keeps the address (RFC 8415): requests go to the link's servers.
func (b *builder) dhcp6(l layer) {
	udp := []condition{protocol(protocolUDP), localPort(546), remotePort(547)}
	if l.out {
		b.permit(l, "DHCPv6", weightConfigured, append(udp, remote(dhcpServers6))...)
	} else {
		b.add(l, "DHCPv6 answer", later, weightConfigured, actionPermit, 0, append(udp, dhcpClient(), remote(linkLocal6))...)
	}
}

// neighbours keeps IPv6 working on the link (RFC 4861), and the link's switches sending us
// its multicast (RFC 3810). No field of these layers holds the hop limit: what comes in is
// checked for it by the stack (RFC 4861, 6.1 and 7.1), what goes out may go to the link
// and to what is open anyway.
func (b *builder) neighbours(p isolate.Policy, l layer) {
	const mldQuery, solicitRouter, advertiseRouter, solicit, advertise, mldReport = 130, 133, 134, 135, 136, 143
	lasts := always
	one := func(what string, kind uint16, with ...condition) {
		b.add(l, what, lasts, weightConfigured, actionPermit, 0, append([]condition{protocol(protocolICMPv6),
			{fieldICMPType, matchEqual, u16(kind)}, {fieldICMPCode, matchEqual, u16(0)}}, with...)...)
	}
	if !l.out {
		one("router advertisement", advertiseRouter, remote(linkLocal6))
		one("neighbour solicitation", solicit)
		one("neighbour advertisement", advertise)
		one("multicast query", mldQuery, remote(linkLocal6))
		return
	}
	one("router solicitation", solicitRouter, remote(allRouters6))
	one("multicast report", mldReport, remote(mldRouters6))
	one("neighbour solicitation to the link", solicit, remote(solicited6))
	one("neighbour advertisement to the link", advertise, remote(allNodes6))
	for _, n := range append([]netip.Prefix{linkLocal6}, on6(p)...) {
		if n != linkLocal6 {
			lasts = later
		}
		one("neighbour solicitation to "+n.String(), solicit, remote(n))
		one("neighbour advertisement to "+n.String(), advertise, remote(n))
	}
}

// on6 are the IPv6 networks to which something may be sent.
func on6(p isolate.Policy) (ns []netip.Prefix) {
	for _, c := range p.Collectors {
		ns = append(ns, single(c.Addr()))
	}
	for _, m := range p.Permits {
		ns = append(ns, m.Network)
	}
	for _, t := range p.Tunnels {
		ns = append(ns, single(t.Address))
	}
	ns = slices.DeleteFunc(ns, func(n netip.Prefix) bool { return n.Addr().Is4() || n == linkLocal6 })
	sorted.Func(ns, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Compact(ns)
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func protocol(n uint8) condition    { return condition{fieldProtocol, matchEqual, u8(n)} }
func remotePort(n uint16) condition { return condition{fieldRemotePort, matchEqual, u16(n)} }
func localPort(n uint16) condition  { return condition{fieldLocalPort, matchEqual, u16(n)} }
func remote(p netip.Prefix) condition {
	return condition{fieldRemoteAddress, matchEqual, prefixValue(p)}
}

func ports(field GUID, first, last uint16) condition {
	if first == last {
		return condition{field, matchEqual, u16(first)}
	}
	low, high := u16(first), u16(last)
	return condition{field, matchRange, value{kind: typeRange, low: &low, high: &high}}
}
