package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	nl "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/nft"
	"hozen/agent/internal/isolate/sever"
	"hozen/internal/netlab"
)

const (
	mark          = 0x485a
	collectorPort = 7443
)

// lab is an isolated PC and, at the other end of its cable, a gateway in which a tunnel
// ends. The collector has the inner addresses of the gateway.
type lab struct {
	*netlab.Pair
	fw  *nft.Firewall
	m   *isolate.Manager
	put chan isolate.Status
}

var (
	innerPC = netlab.Addrs{V4: netip.MustParseAddr("10.77.0.1"), V6: netip.MustParseAddr("fd77::1")}
	inner   = netlab.Addrs{V4: netip.MustParseAddr("10.77.0.2"), V6: netip.MustParseAddr("fd77::2")}
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if err := netlab.Available(); err != nil {
		t.Skip("needs root: ", err)
	}
	p, err := netlab.NewPair()
	check(t, err)
	l := &lab{Pair: p, fw: nft.New(nft.Config{NetNS: p.PC.FD()}), put: make(chan isolate.Status, 4096)}
	t.Cleanup(func() {
		check(t, l.fw.Close())
		check(t, p.Close())
	})
	store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: t.TempDir(), Key: bytes.Repeat([]byte{'k'}, 32)})
	check(t, err)
	l.m, err = isolate.NewManager(isolate.Config{
		Firewall: l.fw, Store: store, Connections: sever.New(sever.Config{NetNS: p.PC.FD()}),
		Tunnels:      New(Config{NetNS: p.PC.FD()}).Tunnels,
		WayHome:      func(ctx context.Context) error { return l.dial(ctx, inner.At(4, collectorPort), mark) },
		WayHomeLimit: 2 * time.Second,
	})
	check(t, err)
	for _, family := range []int{4, 6} {
		l.serve(t, family, collectorPort)
		l.serve(t, family, 8080)
	}
	return l
}

// serve answers connections at any address of the gateway.
func (l *lab) serve(t *testing.T, family, port int) {
	t.Helper()
	ln, err := l.Peer.Listen(t.Context(), fmt.Sprint("tcp", family), fmt.Sprint(":", port))
	check(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
}

// dial connects from the PC and waits for the other end to hang up.
func (l *lab) dial(ctx context.Context, to string, mark int) error {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark)
		}), err)
	}}
	return l.PC.Do(func() error {
		c, err := d.DialContext(ctx, "tcp", to)
		if err != nil {
			return err
		}
		defer c.Close()
		dead, _ := ctx.Deadline()
		_ = c.SetDeadline(dead)
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	})
}

// patience is how long a packet that should not arrive is waited for.
const patience = 300 * time.Millisecond

func (l *lab) closed(t *testing.T, what, to string, mark int) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := l.dial(ctx, to, mark); err == nil {
		t.Errorf("%s passes", what)
	}
}

func (l *lab) open(t *testing.T, what, to string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	if err := l.dial(ctx, to, mark); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// datagram sends one to the gateway and says whether it arrives.
func (l *lab) datagram(t *testing.T, to string) bool {
	t.Helper()
	in, err := l.Peer.ListenPacket(t.Context(), "udp", to)
	check(t, err)
	defer in.Close()
	out, err := l.PC.ListenPacket(t.Context(), "udp", "")
	check(t, err)
	defer out.Close()
	if _, err := out.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))); err != nil {
		return false
	}
	_ = in.SetReadDeadline(time.Now().Add(patience))
	_, _, err = in.ReadFrom(make([]byte, 16))
	return err == nil
}

// device makes a device in a host, with an address of the tunnel of each family.
func device(t *testing.T, h *netlab.Host, d nl.Link, a netlab.Addrs) {
	t.Helper()
	n, err := nl.NewHandleAt(netns.NsHandle(h.FD()), unix.NETLINK_ROUTE)
	check(t, err)
	defer n.Close()
	if d.Type() != "tuntap" {
		if err := n.LinkAdd(d); errors.Is(err, unix.EOPNOTSUPP) {
			t.Skipf("needs a kernel with %s", d.Type())
		} else {
			check(t, err)
		}
	}
	name := d.Attrs().Name
	_ = h.Sysctl("net.ipv6.conf."+name+".accept_dad", "0")
	check(t, h.AddAddr(name, netip.PrefixFrom(a.V4, 24)))
	check(t, h.AddAddr(name, netip.PrefixFrom(a.V6, 64)))
	l, err := n.LinkByName(name)
	check(t, err)
	check(t, n.LinkSetUp(l))
}

func (l *lab) policy() isolate.Policy {
	return isolate.Policy{Mode: isolate.Standard, Mark: mark, Collectors: []netip.AddrPort{
		inner.AddrPort(4, collectorPort), inner.AddrPort(6, collectorPort),
	}}
}

func (l *lab) isolate(t *testing.T) isolate.Status {
	t.Helper()
	st, err := l.m.Isolate(t.Context(), isolate.Request{CommandID: "cmd_1", Policy: l.policy()})
	if err != nil || st.Observed != isolate.Isolated {
		t.Fatalf("%+v, %v", st, err)
	}
	return st
}

// follow does what an agent does until the test ends: it reconciles when told.
func (l *lab) follow(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range l.m.Watch(ctx) {
			st, _ := l.m.Reconcile(ctx)
			l.put <- st
		}
	}()
	t.Cleanup(func() { stop(); <-done })
}

func (l *lab) await(t *testing.T, what string, is func(isolate.Status) bool) isolate.Status {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case st := <-l.put:
			if is(st) {
				return st
			}
		case <-limit:
			t.Fatalf("never came to that: %s", what)
		}
	}
}

// onlyHome checks that the collector is reached and nobody else, in the tunnel and
// beside it.
func (l *lab) onlyHome(t *testing.T) {
	t.Helper()
	for _, family := range []int{4, 6} {
		l.open(t, fmt.Sprintf("the way home, IPv%d", family), inner.At(family, collectorPort))
		l.closed(t, fmt.Sprintf("another program in the tunnel, IPv%d", family), inner.At(family, collectorPort), 0)
		l.closed(t, fmt.Sprintf("another port in the tunnel, IPv%d", family), inner.At(family, 8080), mark)
		l.closed(t, fmt.Sprintf("the gateway beside the tunnel, IPv%d", family), l.B.At(family, 8080), mark)
		if l.datagram(t, inner.At(family, 4000)) {
			t.Errorf("UDP in the tunnel passes, IPv%d", family)
		}
		if l.datagram(t, l.B.At(family, 4000)) {
			t.Errorf("UDP beside the tunnel passes, IPv%d", family)
		}
	}
}

func vxlan(local, remote netip.Addr) *nl.Vxlan {
	return &nl.Vxlan{LinkAttrs: nl.LinkAttrs{Name: "vx0"}, VxlanId: 7, Port: 4789, SrcAddr: local.AsSlice(), Group: remote.AsSlice()}
}
