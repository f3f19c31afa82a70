//go:build linux

package nft

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

func TestContract(t *testing.T) {
	isolatetest.Run(t, func(t *testing.T) isolate.Firewall { return newLab(t).fw })
}

// cell is one kind of traffic. Every cell must pass while the PC is not isolated: only
// then does it mean something that it does not pass while it is.
type cell struct {
	name string
	try  func() error
	open bool // passes although isolated
}

func (l *lab) matrix() []cell {
	var cs []cell
	var oneByOne sync.Mutex // the DHCP ports are few
	add := func(open bool, name string, family int, try func() error) {
		if strings.HasPrefix(name, "DHCP") {
			free := try
			try = func() error {
				oneByOne.Lock()
				defer oneByOne.Unlock()
				return free()
			}
		}
		cs = append(cs, cell{fmt.Sprintf("%s IPv%d", name, family), try, open})
	}
	pc, peer := l.PC, l.Peer
	for _, family := range []int{4, 6} {
		self, other := l.A, l.B
		col := l.collector
		zero := map[int]string{4: "0.0.0.0", 6: "[::]"}[family]
		add(false, "TCP out", family, func() error { return tcp(pc, peer, other.At(family, 8080)) })
		add(false, "TCP in", family, func() error { return tcp(peer, pc, self.At(family, 22)) })
		add(false, "UDP out", family, func() error { return udp(pc, peer, zero+":0", other.At(family, 4000)) })
		add(false, "UDP in", family, func() error { return udp(peer, pc, zero+":0", self.At(family, 4001)) })
		add(false, "ping out", family, func() error { return ping(pc, other.AddrPort(family, 0).Addr()) })
		add(false, "ping in", family, func() error { return ping(peer, self.AddrPort(family, 0).Addr()) })
		add(false, "DNS over UDP", family, func() error { return udp(pc, peer, zero+":0", other.At(family, 53)) })
		add(false, "DNS over TCP", family, func() error { return tcp(pc, peer, other.At(family, 53)) })
		add(false, "DNS at the collector", family, func() error { return udp(pc, peer, zero+":0", col.At(family, 53)) })
		add(false, "ping collector", family, func() error { return ping(pc, col.AddrPort(family, 0).Addr()) })
		add(false, "collector, other port", family, func() error { return tcp(pc, peer, col.At(family, collectorPort+1)) })
		add(false, "collector's port by UDP", family, func() error { return udp(pc, peer, zero+":0", col.At(family, collectorPort)) })
		add(false, "collector's port elsewhere", family, func() error { return tcp(pc, peer, other.At(family, collectorPort)) })
		add(false, "collector connects to us", family, func() error {
			return tcpFrom(peer, pc, col.AddrPort(family, collectorPort+2), self.At(family, 23))
		})
		add(false, "collector connects to us from its port", family, func() error {
			return tcpFrom(peer, pc, col.AddrPort(family, collectorPort), self.At(family, 24))
		})
		add(false, "raw frame", family, func() error { return raw(l, family, 4100, false) })
		add(false, "raw frame past the queue", family, func() error { return raw(l, family, 4101, true) })
		add(true, "collector", family, func() error { return tcp(pc, peer, col.At(family, collectorPort)) })
		add(true, "own address", family, func() error { return tcp(pc, pc, self.At(family, 5001)) })
	}
	add(true, "loopback", 4, func() error { return tcp(pc, pc, "127.0.0.1:5000") })
	add(true, "loopback", 6, func() error { return tcp(pc, pc, "[::1]:5000") })
	add(true, "loopback UDP", 4, func() error { return udp(pc, pc, "127.0.0.1:0", "127.0.0.53:53") })
	add(true, "DHCP broadcast", 4, func() error { return dhcpBroadcast(l) })
	add(true, "DHCP answer", 4, func() error { return udp(peer, pc, l.B.At(4, 67), l.A.At(4, 68)) })
	add(false, "DHCP to a stranger", 4, func() error { return udp(pc, peer, l.A.At(4, 68), l.B.At(4, 67)) })
	add(false, "DHCP to a stranger", 6, func() error { return udp(pc, peer, l.A.At(6, 546), l.B.At(6, 547)) })
	return cs
}

// dhcpBroadcast sends from DHCP client to DHCP server port, to everybody.
func dhcpBroadcast(l *lab) error {
	in, err := l.Peer.ListenPacket(context.Background(), "udp4", "0.0.0.0:67")
	if err != nil {
		panic(err)
	}
	defer in.Close()
	if err := l.PC.Do(func() error {
		lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
			cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, l.NameA) })
			if cerr != nil {
				return cerr
			}
			return err
		}}
		out, err := lc.ListenPacket(context.Background(), "udp4", "0.0.0.0:68")
		if err != nil {
			panic(err)
		}
		defer out.Close()
		_, err = out.WriteTo([]byte("dhcp"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(broadcast4, 67)))
		return err
	}); err != nil {
		return err
	}
	return await(in, "dhcp")
}

// eventually tries until it works: a busy machine may lose a packet's race against
// patience. What must not pass is tried once.
func eventually(try func() error) error {
	end := time.Now().Add(20 * time.Second)
	for {
		err := try()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// all tries every cell at the same time and returns what became of them.
func all(cs []cell, mustPass func(cell) bool) []error {
	errs := make([]error, len(cs))
	var wg sync.WaitGroup
	for i, c := range cs {
		wg.Go(func() {
			if mustPass(c) {
				errs[i] = eventually(c.try)
			} else {
				errs[i] = c.try()
			}
		})
	}
	wg.Wait()
	return errs
}

// compareAll reports every cell that passes and must not, or must and does not.
func compareAll(t *testing.T, when string, cs []cell, mustPass func(cell) bool) {
	t.Helper()
	for i, err := range all(cs, mustPass) {
		switch pass := mustPass(cs[i]); {
		case pass && err != nil:
			t.Errorf("%s: %s is cut: %v", when, cs[i].name, err)
		case !pass && err == nil:
			t.Errorf("%s: %s passes", when, cs[i].name)
		}
	}
}

func every(cell) bool     { return true }
func none(cell) bool      { return false }
func opens(c cell) bool   { return c.open }
func orIsRaw(c cell) bool { return c.open || strings.HasPrefix(c.name, "raw") }

func TestMatrix(t *testing.T) {
	l := newLab(t)
	cs := l.matrix()
	compareAll(t, "before", cs, every)
	check(t, l.fw.Apply(t.Context(), l.policy))
	l.isolated(t)
	// So that neighbours have to be found through the rules.
	check(t, l.PC.ForgetNeighbours(l.NameA))
	check(t, l.Peer.ForgetNeighbours(l.NameB))
	w := l.tap(t)
	compareAll(t, "isolated", cs, opens)
	for _, leak := range w.close() {
		t.Errorf("left the PC: %s", leak)
	}
	drops := map[string]uint64{}
	for _, d := range l.observe(t, &l.policy).Drops {
		drops[d.Chain] = d.Packets
	}
	// Raw frames never see the inet table; what arrives never gets past the device.
	for _, chain := range []string{"inet out", "netdev in_" + l.NameA, "netdev out_" + l.NameA} {
		if drops[chain] == 0 {
			t.Errorf("no packet was counted in chain %s: %v", chain, drops)
		}
	}
	check(t, l.fw.Restore(t.Context()))
	compareAll(t, "released", cs, every)
}

// The inet table alone, as on a kernel without netdev tables, cuts all but raw frames.
func TestMatrixWithoutDeviceChains(t *testing.T) {
	l := newLab(t)
	for _, feat := range []features{{}, {netdev: true}} {
		l.fw.features = &feat
		check(t, l.fw.Apply(t.Context(), l.policy))
		o := l.observe(t, &l.policy)
		if !o.Complete || len(o.Limits) != 2 || o.Links[0].Egress || o.Links[0].Ingress != feat.netdev {
			t.Errorf("features %+v: %+v", feat, o)
		}
		compareAll(t, fmt.Sprintf("features %+v", feat), l.matrix(), orIsRaw)
	}
	check(t, l.fw.Restore(t.Context()))
	if o := l.observe(t, nil); o.Present {
		t.Errorf("left over: %+v", o)
	}
}

func TestKnownDHCPServer(t *testing.T) {
	l := newLab(t)
	renew := func() error { return udp(l.PC, l.Peer, l.A.At(4, 68), l.B.At(4, 67)) }
	check(t, l.fw.Apply(t.Context(), l.policy))
	if renew() == nil {
		t.Error("passes although nobody knows the server")
	}
	l.policy.DHCPServers = []netip.Addr{l.B.V4}
	check(t, l.fw.Apply(t.Context(), l.policy))
	l.isolated(t)
	if err := eventually(renew); err != nil {
		t.Errorf("lease cannot be renewed at its server: %v", err)
	}
}

func TestMarkKeepsOthersOut(t *testing.T) {
	l := newLab(t)
	l.policy.Mark = 0x485a
	check(t, l.fw.Apply(t.Context(), l.policy))
	l.isolated(t)
	marked := func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, 0x485a) })
		if cerr != nil {
			return cerr
		}
		return err
	}
	for _, family := range []int{4, 6} {
		address := l.collector.At(family, collectorPort)
		if err := eventually(func() error { return tcp(l.PC, l.Peer, address, marked) }); err != nil {
			t.Errorf("agent to %s: %v", address, err)
		}
		if tcp(l.PC, l.Peer, address) == nil {
			t.Errorf("another program reached %s", address)
		}
	}
}
