//go:build linux

package nft

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/internal/netlab"
)

// flow is an established connection that moves bytes both ways all the time.
type flow struct {
	a, b         net.Conn
	lastA, lastB atomic.Int64 // when bytes last arrived, nanoseconds since start
	sent         atomic.Int64 // when the newest bytes that arrived at either end were sent, likewise
	start        time.Time
}

// flowBlock is how many bytes are sent at once, beginning with when that is.
const flowBlock = 64

func newFlow(t *testing.T, from, to *netlab.Host, address string) *flow {
	t.Helper()
	l, err := to.Listen(t.Context(), "tcp", address)
	check(t, err)
	defer l.Close()
	f := &flow{start: time.Now()}
	f.a, err = from.Dial(t.Context(), "tcp", address)
	check(t, err)
	f.b, err = l.Accept()
	check(t, err)
	t.Cleanup(func() { f.a.Close(); f.b.Close() })
	for _, end := range []struct {
		c    net.Conn
		last *atomic.Int64
	}{{f.a, &f.lastA}, {f.b, &f.lastB}} {
		go func() {
			tick := time.NewTicker(200 * time.Microsecond)
			defer tick.Stop()
			b := make([]byte, flowBlock)
			for range tick.C {
				binary.BigEndian.PutUint64(b, uint64(time.Since(f.start)))
				if _, err := end.c.Write(b); err != nil {
					return
				}
			}
		}()
		go func() {
			r, b := bufio.NewReaderSize(end.c, 65536), make([]byte, flowBlock)
			for {
				if _, err := io.ReadFull(r, b); err != nil {
					return
				}
				at := int64(binary.BigEndian.Uint64(b))
				for old := f.sent.Load(); at > old && !f.sent.CompareAndSwap(old, at); old = f.sent.Load() {
				}
				end.last.Store(int64(time.Since(f.start)))
			}
		}()
	}
	f.moves(t, "at first")
	return f
}

// last is when bytes last arrived at either end.
func (f *flow) last() time.Time {
	return f.start.Add(time.Duration(max(f.lastA.Load(), f.lastB.Load())))
}

// moves waits until bytes arrive at both ends.
func (f *flow) moves(t *testing.T, when string) {
	t.Helper()
	a, b := f.lastA.Load(), f.lastB.Load()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); f.lastA.Load() == a || f.lastB.Load() == b; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s no bytes move", when)
		}
	}
}

func TestEstablishedFlows(t *testing.T) {
	l := newLab(t)
	for _, family := range []int{4, 6} {
		t.Run(fmt.Sprintf("IPv%d", family), func(t *testing.T) {
			out := newFlow(t, l.PC, l.Peer, l.B.At(family, 9000))
			in := newFlow(t, l.Peer, l.PC, l.A.At(family, 9001))
			home := newFlow(t, l.PC, l.Peer, l.collector.At(family, collectorPort))
			lo := newFlow(t, l.PC, l.PC, map[int]string{4: "127.0.0.1:9002", 6: "[::1]:9002"}[family])
			called := time.Now()
			check(t, l.fw.Apply(t.Context(), l.policy))
			returned := time.Now()
			l.isolated(t)
			quiet := time.NewTimer(500 * time.Millisecond)
			<-quiet.C
			for name, f := range map[string]*flow{"outgoing": out, "incoming": in} {
				// Not when they arrived: what had come before is read late on a busy machine.
				if late := f.start.Add(time.Duration(f.sent.Load())).Sub(returned); late > 0 {
					t.Errorf("%s: bytes arrived that were sent %v after Apply returned", name, late)
				}
				t.Logf("%s: last byte %v after Apply was called, which took %v", name, f.last().Sub(called), returned.Sub(called))
			}
			home.moves(t, "isolated, to the collector,")
			lo.moves(t, "isolated, on loopback,")
			check(t, l.fw.Restore(t.Context()))
			out.moves(t, "released")
			in.moves(t, "released")
			home.moves(t, "released, to the collector,")
		})
	}
}

// flood sends datagrams as fast as it can and counts what arrives.
type flood struct {
	sent, got atomic.Int64
	last      atomic.Int64 // when a datagram last arrived, in nanoseconds since 1970
	in, out   net.PacketConn
}

func newFlood(t *testing.T, from, to *netlab.Host, local, address string) *flood {
	t.Helper()
	f := &flood{}
	var err error
	f.in, err = to.ListenPacket(t.Context(), "udp", address)
	check(t, err)
	f.out, err = from.ListenPacket(t.Context(), "udp", local)
	check(t, err)
	t.Cleanup(func() { f.in.Close(); f.out.Close() })
	go func() {
		b := make([]byte, 64)
		for {
			if _, _, err := f.in.ReadFrom(b); err != nil {
				return
			}
			f.last.Store(time.Now().UnixNano())
			f.got.Add(1)
		}
	}()
	go func() {
		to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address))
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := f.out.WriteTo([]byte("x"), to); err != nil && context.Cause(t.Context()) != nil {
				return
			}
			f.sent.Add(1)
		}
	}()
	return f
}

// New collector addresses replace the old ones with no moment in between in which
// anything passes, and the collector that both policies know is never cut.
func TestReplaceLeaksNothing(t *testing.T) {
	l := newLab(t)
	b := l.policy
	b.Collectors = append([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:7443")}, b.Collectors...)
	check(t, l.fw.Apply(t.Context(), l.policy))
	var floods []*flood
	for _, family := range []int{4, 6} {
		floods = append(floods,
			newFlood(t, l.PC, l.Peer, l.A.At(family, 0), l.B.At(family, 6000)),
			newFlood(t, l.Peer, l.PC, l.B.At(family, 0), l.A.At(family, 6001)))
	}
	w := l.tap(t)
	home := newFlow(t, l.PC, l.Peer, l.collector.At(6, collectorPort))
	for i := range 40 {
		p := []isolate.Policy{b, l.policy}[i%2]
		check(t, l.fw.Apply(t.Context(), p))
		if o := l.observe(t, &p); !o.Complete {
			t.Fatalf("replacement %d: %+v", i, o)
		}
	}
	home.moves(t, "after replacements, to the collector,")
	sent := int64(0)
	for _, f := range floods {
		sent += f.sent.Load()
		if n := f.got.Load(); n != 0 {
			t.Errorf("%d datagrams passed", n)
		}
	}
	for _, leak := range w.close() {
		t.Errorf("left the PC: %s", leak)
	}
	if sent < 1000 {
		t.Errorf("only %d datagrams were sent; the test shows nothing", sent)
	}
	check(t, l.fw.Restore(t.Context()))
	for i, f := range floods {
		got := f.got.Load()
		tick := time.NewTicker(time.Millisecond)
		for end := time.Now().Add(10 * time.Second); f.got.Load() == got; <-tick.C {
			if time.Now().After(end) {
				t.Fatalf("flood %d does not arrive after release either", i)
			}
		}
		tick.Stop()
	}
	t.Logf("%d datagrams sent during 40 replacements", sent)
}

// A packet that the path cannot carry is reported back, and only then do large
// transfers to a collector behind a tunnel work.
func TestSmallerPathToTheCollector(t *testing.T) {
	for _, family := range []int{4, 6} {
		t.Run(fmt.Sprintf("IPv%d", family), func(t *testing.T) {
			l := newLab(t)
			far, second := behind(t, l, l.Peer)
			check(t, l.PC.AddRoute(second.V4, l.B.V4))
			check(t, l.PC.AddRoute(second.V6, l.B.V6))
			check(t, far.AddRoute(l.V4, second.A.V4))
			check(t, far.AddRoute(l.V6, second.A.V6))
			check(t, l.Peer.SetMTU(second.NameA, 1300))
			l.policy.Collectors = []netip.AddrPort{second.B.AddrPort(family, collectorPort)}
			check(t, l.fw.Apply(t.Context(), l.policy))
			l.isolated(t)
			ln, err := far.Listen(t.Context(), "tcp", second.B.At(family, collectorPort))
			check(t, err)
			defer ln.Close()
			c, err := l.PC.Dial(t.Context(), "tcp", second.B.At(family, collectorPort))
			check(t, err)
			defer c.Close()
			in, err := ln.Accept()
			check(t, err)
			defer in.Close()
			const size = 1 << 20
			go func() { c.Write(make([]byte, size)) }()
			in.SetReadDeadline(time.Now().Add(10 * time.Second))
			if n, err := io.ReadFull(in, make([]byte, size)); err != nil {
				t.Errorf("%d of %d bytes arrived: %v", n, size, err)
			}
		})
	}
}

// behind makes middle a router and puts a third host behind it, with a cable A–B from
// middle.
func behind(t *testing.T, l *lab, middle *netlab.Host) (*netlab.Host, *netlab.Cable) {
	t.Helper()
	far, err := l.AddHost()
	check(t, err)
	second, err := l.Join(middle, far)
	check(t, err)
	check(t, middle.Sysctl("net.ipv4.ip_forward", "1"))
	check(t, middle.Sysctl("net.ipv6.conf.all.forwarding", "1"))
	return far, second
}

// An isolated PC is no road for others: neither for a container routed by it nor for a
// guest on its bridge.
func TestForwardIsCut(t *testing.T) {
	l := newLab(t)
	far, second := behind(t, l, l.PC)
	for _, err := range []error{
		far.AddRoute(l.V4, second.A.V4), far.AddRoute(l.V6, second.A.V6),
		l.Peer.AddRoute(second.V4, l.A.V4), l.Peer.AddRoute(second.V6, l.A.V6),
	} {
		check(t, err)
	}
	var cs []cell
	for _, family := range []int{4, 6} {
		cs = append(cs,
			cell{"TCP through the PC", func() error { return tcp(far, l.Peer, l.B.At(family, 8080)) }, false},
			cell{"TCP through the PC inwards", func() error { return tcp(l.Peer, far, second.B.At(family, 8081)) }, false},
			cell{"ping through the PC", func() error { return ping(far, l.B.AddrPort(family, 0).Addr()) }, false},
			cell{"container to PC", func() error { return tcp(far, l.PC, second.A.At(family, 8082)) }, false},
			cell{"PC to container", func() error { return tcp(l.PC, far, second.B.At(family, 8083)) }, false})
	}
	compareAll(t, "before", cs, every)
	for _, feat := range []features{{}, everything} {
		l.fw.remember(feat)
		check(t, l.fw.Apply(t.Context(), l.policy))
		l.isolated(t)
		compareAll(t, "isolated", cs, none)
		check(t, l.fw.Restore(t.Context()))
		compareAll(t, "released", cs, every)
	}
}

func TestBridgedGuestIsCut(t *testing.T) {
	l := newLab(t)
	guest, err := l.AddHost()
	check(t, err)
	second, err := l.Join(l.PC, guest)
	check(t, err)
	if err := l.PC.AddBridge("br0", l.NameA, second.NameA); err != nil {
		t.Skip("needs a kernel with bridges: ", err)
	}
	mine := l.Host(9)
	check(t, guest.AddAddr(second.NameB, netip.PrefixFrom(mine.V4, 24)))
	check(t, guest.AddAddr(second.NameB, netip.PrefixFrom(mine.V6, 64)))
	var cs []cell
	for _, family := range []int{4, 6} {
		cs = append(cs, cell{fmt.Sprintf("guest, IPv%d", family),
			func() error { return tcp(guest, l.Peer, l.B.At(family, 8080)) }, false})
	}
	compareAll(t, "before", cs, every)
	check(t, l.fw.Apply(t.Context(), l.policy))
	l.isolated(t)
	compareAll(t, "isolated", cs, none)
	check(t, l.fw.Restore(t.Context()))
	compareAll(t, "released", cs, every)
}
