//go:build linux

package nft

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hozen/agent/internal/isolate"
	"hozen/internal/netlab"
)

// packet sends one of a protocol of its own.
func packet(from, to *netlab.Host, protocol int, local netlab.Addrs, at netip.Addr) error {
	network := fmt.Sprintf("ip%d:%d", map[bool]int{true: 4, false: 6}[at.Is4()], protocol)
	in, err := to.ListenPacket(context.Background(), network, at.String())
	if err != nil {
		panic(err)
	}
	defer in.Close()
	out, err := from.ListenPacket(context.Background(), network, local.AddrPort(map[bool]int{true: 4, false: 6}[at.Is4()], 0).Addr().String())
	if err != nil {
		panic(err)
	}
	defer out.Close()
	if _, err := out.WriteTo([]byte("tunnelled"), &net.IPAddr{IP: at.AsSlice()}); err != nil {
		return err
	}
	return await(in, "tunnelled")
}

// What carries a tunnel passes, both ways, and nothing beside it.
func TestOuterEnds(t *testing.T) {
	l := newLab(t)
	third := l.Host(4)
	check(t, l.Peer.AddAddr(l.NameB, netip.PrefixFrom(third.V4, 24)))
	check(t, l.Peer.AddAddr(l.NameB, netip.PrefixFrom(third.V6, 64)))
	var cs []cell
	var oneByOne sync.Mutex // several need the same port
	add := func(open bool, name string, family int, try func() error) {
		if strings.HasPrefix(name, "VXLAN in") || strings.HasPrefix(name, "WireGuard") || strings.HasPrefix(name, "TCP") {
			free := try
			try = func() error {
				oneByOne.Lock()
				defer oneByOne.Unlock()
				return free()
			}
		}
		cs = append(cs, cell{fmt.Sprintf("%s IPv%d", name, family), try, open})
	}
	pc, peer, self, other := l.PC, l.Peer, l.A, l.B
	for _, family := range []int{4, 6} {
		a := other.AddrPort(family, 0).Addr()
		l.policy.Tunnels = append(l.policy.Tunnels,
			isolate.Tunnel{Address: a, Protocol: isolate.ProtocolUDP, Port: 4789, Own: 4789},
			isolate.Tunnel{Address: a, Protocol: isolate.ProtocolUDP, Port: 51820},
			isolate.Tunnel{Address: a, Protocol: isolate.ProtocolTCP, Port: 443},
			isolate.Tunnel{Address: a, Protocol: isolate.ProtocolGRE},
			isolate.Tunnel{Address: a, Protocol: isolate.ProtocolIPv6})
		add(true, "VXLAN out", family, func() error { return udp(pc, peer, self.At(family, 0), other.At(family, 4789)) })
		add(true, "VXLAN in, from any port", family, func() error { return udp(peer, pc, other.At(family, 0), self.At(family, 4789)) })
		add(true, "WireGuard out", family, func() error { return udp(pc, peer, self.At(family, 0), other.At(family, 51820)) })
		add(true, "WireGuard in", family, func() error { return udp(peer, pc, other.At(family, 51820), self.At(family, 4700)) })
		add(true, "TCP out", family, func() error { return tcp(pc, peer, other.At(family, 443)) })
		add(true, "GRE out", family, func() error { return packet(pc, peer, 47, self, a) })
		add(true, "GRE in", family, func() error { return packet(peer, pc, 47, other, self.AddrPort(family, 0).Addr()) })
		add(true, "6in4 out", family, func() error { return packet(pc, peer, 41, self, a) })
		add(false, "4in4 out", family, func() error { return packet(pc, peer, 4, self, a) })
		add(false, "TCP in from there", family, func() error {
			return tcpFrom(peer, pc, other.AddrPort(family, 443), self.At(family, 2300))
		})
		add(false, "UDP in from another port", family, func() error { return udp(peer, pc, other.At(family, 0), self.At(family, 4701)) })
		add(false, "VXLAN's port by TCP", family, func() error { return tcp(pc, peer, other.At(family, 4789)) })
		add(false, "VXLAN to somebody else", family, func() error { return udp(pc, peer, self.At(family, 0), third.At(family, 4789)) })
		add(false, "GRE to somebody else", family, func() error { return packet(pc, peer, 47, self, third.AddrPort(family, 0).Addr()) })
		add(false, "VXLAN in from somebody else", family, func() error { return udp(peer, pc, third.At(family, 0), self.At(family, 4789)) })
	}
	compareAll(t, "before", cs, every)
	check(t, l.fw.Apply(t.Context(), l.policy))
	l.isolated(t)
	check(t, l.PC.ForgetNeighbours(l.NameA)) // asked anew, through the rules
	check(t, l.Peer.ForgetNeighbours(l.NameB))
	compareAll(t, "isolated", cs, opens)
	check(t, l.fw.Restore(t.Context()))
	compareAll(t, "released", cs, every)
}

// Whatever tunnels a policy has, it is read back from the kernel as it was written, and
// no other is taken for it.
func TestTunnelsAreReadBack(t *testing.T) {
	l := newLab(t)
	begin, n := time.Now(), 0
	rapid.Check(t, func(t *rapid.T) {
		if n++; n > 40 { // each is a transaction of the kernel's
			return
		}
		p := l.policy
		for i := range rapid.IntRange(0, isolate.TunnelsMax).Draw(t, "tunnels") {
			w := isolate.Tunnel{Protocol: rapid.SampledFrom([]uint8{4, 6, 17, 41, 47}).Draw(t, "protocol"), Link: fmt.Sprint("t", i)}
			if rapid.Bool().Draw(t, "IPv4") {
				w.Address = netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "host")})
			} else {
				w.Address = netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 15: rapid.Byte().Draw(t, "host")})
			}
			if w.Protocol == isolate.ProtocolTCP || w.Protocol == isolate.ProtocolUDP {
				w.Port = rapid.Uint16Min(1).Draw(t, "port")
			}
			if w.Protocol == isolate.ProtocolUDP && rapid.Bool().Draw(t, "one port for all") {
				w.Own = w.Port
			}
			p.Tunnels = append(p.Tunnels, w)
		}
		if err := l.fw.Apply(context.Background(), p); err != nil {
			t.Fatal(err)
		}
		o, err := l.fw.Observe(context.Background(), &p)
		if err != nil || !o.Complete || o.Digest != o.Expected {
			t.Fatalf("%+v, %v", o, err)
		}
		less := p.Clean()
		if len(less.Tunnels) == 0 {
			return
		}
		less.Tunnels = less.Tunnels[1:]
		if o, err := l.fw.Observe(context.Background(), &less); err != nil || o.Complete {
			t.Fatalf("without %s: %+v, %v", p.Tunnels[0], o, err)
		}
	})
	t.Logf("%v", time.Since(begin).Round(time.Millisecond))
}
