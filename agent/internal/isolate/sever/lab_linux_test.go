package sever

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
	"hozen/agent/internal/isolate/nft"
	"hozen/internal/netlab"
)

func lab(t testing.TB) *netlab.Pair {
	t.Helper()
	if err := netlab.Available(); err != nil {
		t.Skip("needs root: ", err)
	}
	p, err := netlab.NewPair()
	check(t, err)
	t.Cleanup(func() { check(t, p.Close()) })
	return p
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair is both ends of a connection.
type pair struct{ near, far net.Conn }

// connect makes a connection from one host to another; near is the PC's end.
func connect(t testing.TB, from, to *netlab.Host, network, address string, mark int) pair {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	l, err := to.Listen(ctx, network, address)
	check(t, err)
	defer l.Close()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			if mark != 0 {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark)
			}
		})
		return errors.Join(err, cerr)
	}}
	var p pair
	check(t, from.Do(func() (err error) {
		p.near, err = d.DialContext(ctx, "tcp", l.Addr().String())
		return err
	}))
	p.far, err = l.Accept()
	check(t, err)
	t.Cleanup(func() { p.near.Close(); p.far.Close() })
	check(t, p.say())
	return p
}

// say sends a word from each end to the other.
func (p pair) say() error {
	for _, way := range []struct{ from, to net.Conn }{{p.near, p.far}, {p.far, p.near}} {
		if _, err := way.from.Write([]byte("word")); err != nil {
			return err
		}
		b := make([]byte, 4)
		if err := way.to.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		if _, err := io.ReadFull(way.to, b); err != nil {
			return err
		}
	}
	return nil
}

// aborted waits for what a program is told whose connection was ended.
func aborted(c net.Conn) error {
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, err := c.Read(make([]byte, 1))
	return err
}

// The whole way: what was connected is cut and ended, what is allowed lives on, and
// after release nothing goes on where it was.
func TestNothingGoesOnAfterRelease(t *testing.T) {
	l := lab(t)
	const port, mark = 7443, 0x7
	collector := l.Host(3)
	check(t, l.Peer.AddAddr(l.NameB, netip.PrefixFrom(collector.V4, 24)))
	check(t, l.Peer.AddAddr(l.NameB, netip.PrefixFrom(collector.V6, 64)))
	fw := nft.New(nft.Config{NetNS: l.PC.FD()})
	t.Cleanup(func() { check(t, fw.Close()) })
	store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: t.TempDir(), Key: bytes.Repeat([]byte{'k'}, 32)})
	check(t, err)
	m, err := isolate.NewManager(isolate.Config{Firewall: fw, Store: store, Connections: New(Config{NetNS: l.PC.FD()})})
	check(t, err)

	cut, stay := map[string]pair{}, map[string]pair{}
	for _, family := range []int{4, 6} {
		name := fmt.Sprintf(", IPv%d", family)
		cut["out"+name] = connect(t, l.PC, l.Peer, "tcp", l.B.At(family, 9000), 0)
		in := connect(t, l.Peer, l.PC, "tcp", l.A.At(family, 9001), 0)
		cut["in"+name] = pair{near: in.far, far: in.near}
		stay["collector"+name] = connect(t, l.PC, l.Peer, "tcp", collector.At(family, port), mark)
		cut["other program with the collector"+name] = connect(t, l.PC, l.Peer, "tcp", collector.At(family, port), 0)
		stay["own address"+name] = connect(t, l.PC, l.PC, "tcp", l.A.At(family, 9002), 0)
		stay["loopback"+name] = connect(t, l.PC, l.PC, "tcp", map[int]string{4: "127.0.0.1:9003", 6: "[::1]:9003"}[family], 0)
	}
	// A service that listens for both families has IPv6 sockets for IPv4 connections.
	both, err := l.PC.Listen(t.Context(), "tcp", ":9005")
	check(t, err)
	defer both.Close()
	far, err := l.Peer.Dial(t.Context(), "tcp", l.A.At(4, 9005))
	check(t, err)
	defer far.Close()
	near, err := both.Accept()
	check(t, err)
	defer near.Close()
	cut["in, both families"] = pair{near, far}
	datagrams, err := l.PC.Dial(t.Context(), "udp", l.B.At(4, 9006))
	check(t, err)
	defer datagrams.Close()

	st, err := m.Isolate(t.Context(), isolate.Request{CommandID: "cmd_1", Policy: isolate.Policy{
		Mark: mark, Collectors: []netip.AddrPort{collector.AddrPort(4, port), collector.AddrPort(6, port)},
	}})
	check(t, err)
	s := st.Severed
	if s == nil || s.Unsupported || s.Failed != 0 || s.Detail != "" {
		t.Fatalf("severed %+v", s)
	}
	if want := len(cut) + 1; s.Destroyed != want || len(s.List) != want {
		t.Errorf("%d ended, want %d: %+v", s.Destroyed, want, s.List)
	}
	i := slices.IndexFunc(s.List, func(c isolate.Connection) bool { return c.Remote == l.B.AddrPort(4, 9000) })
	if i < 0 {
		t.Fatalf("not in the list: %+v", s.List)
	}
	if c := s.List[i]; c.Protocol != "tcp" || c.State != "ESTABLISHED" || c.Sent < 4 || c.Received != 4 || c.Inode == 0 || c.Outcome != "destroyed" {
		t.Errorf("%+v", c)
	}
	for _, c := range s.List { // both ends are this process's
		if ran := time.Since(c.Started); c.PID != uint32(os.Getpid()) || c.Process == "" || c.StartTicks == 0 || ran < 0 || ran > time.Hour || c.NetNS != 0 {
			t.Errorf("not named: %+v", c)
		}
	}
	for name, p := range cut {
		if err := aborted(p.near); !errors.Is(err, unix.ECONNABORTED) {
			t.Errorf("%s: got %v, want ECONNABORTED", name, err)
		}
	}
	if _, err := datagrams.Write([]byte("x")); !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.EDESTADDRREQ) {
		t.Errorf("UDP: got %v", err)
	}
	for name, p := range stay {
		if err := p.say(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = m.Release(t.Context(), isolate.Request{CommandID: "cmd_2"})
	check(t, err)
	for name, p := range cut {
		if err := p.say(); err == nil {
			t.Errorf("%s goes on after release", name)
		}
	}
	for name, p := range stay {
		if err := p.say(); err != nil {
			t.Errorf("%s, after release: %v", name, err)
		}
	}
	// Services that listened still do.
	again, err := l.Peer.Dial(t.Context(), "tcp", l.A.At(4, 9005))
	check(t, err)
	again.Close()
	if st := m.Status(t.Context()); st.Severed != nil {
		t.Errorf("of an order that is over: %+v", st.Severed)
	}
}

// What a permit leaves open lives on through the cut; an edit that takes the permit away,
// and the end of its time, end it.
func TestEditEndsWhatItNoLongerAllows(t *testing.T) {
	l := lab(t)
	fw := nft.New(nft.Config{NetNS: l.PC.FD()})
	t.Cleanup(func() { check(t, fw.Close()) })
	store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: t.TempDir(), Key: bytes.Repeat([]byte{'k'}, 32)})
	check(t, err)
	clock := &isolatetest.Clock{}
	m, err := isolate.NewManager(isolate.Config{Firewall: fw, Store: store, Connections: New(Config{NetNS: l.PC.FD()}), Clock: clock})
	check(t, err)
	permit := func(a netip.Addr, minutes time.Duration) isolate.Permit {
		return isolate.Permit{Network: netip.PrefixFrom(a, a.BitLen()), Protocol: isolate.TCP, First: 9000, Last: 9001,
			ExpiresAt: clock.Now().Add(minutes * time.Minute)}
	}
	four := connect(t, l.PC, l.Peer, "tcp", l.B.At(4, 9000), 0)
	six := connect(t, l.PC, l.Peer, "tcp", l.B.At(6, 9001), 0)
	never := connect(t, l.PC, l.Peer, "tcp", l.B.At(6, 9002), 0)
	order := func(id string, ps ...isolate.Permit) {
		t.Helper()
		_, err := m.Isolate(t.Context(), isolate.Request{CommandID: id, Policy: isolate.Policy{
			Mode: isolate.Selective, Permits: ps, Collectors: []netip.AddrPort{l.B.AddrPort(4, 7443)},
		}})
		check(t, err)
	}
	ended := func(name string, p pair) {
		t.Helper()
		if err := aborted(p.near); !errors.Is(err, unix.ECONNABORTED) {
			t.Errorf("%s: got %v, want ECONNABORTED", name, err)
		}
	}
	order("cmd_1", permit(l.B.V4, 60), permit(l.B.V6, 60))
	ended("never permitted", never)
	check(t, errors.Join(four.say(), six.say()))
	order("cmd_2", permit(l.B.V6, 60))
	ended("edited away", four)
	check(t, six.say())
	clock.Pass(time.Hour)
	st, err := m.Reconcile(t.Context())
	check(t, err)
	if len(st.Policy.Permits) != 0 || st.Severed == nil || st.Severed.Destroyed != 1 {
		t.Errorf("%+v", st)
	}
	ended("at its end", six)
}

func TestManyConnections(t *testing.T) {
	l := lab(t)
	ln, err := l.Peer.Listen(t.Context(), "tcp", l.B.At(4, 9000))
	check(t, err)
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	const many = 1500
	for range many {
		c, err := l.PC.Dial(t.Context(), "tcp", l.B.At(4, 9000))
		check(t, err)
		t.Cleanup(func() { c.Close() })
	}
	k := New(Config{NetNS: l.PC.FD()})
	s, err := k.Sever(t.Context(), isolate.Policy{})
	check(t, err)
	if s.Destroyed != many || len(s.List) != isolate.ListMax || s.Omitted != many-isolate.ListMax {
		t.Errorf("ended %d, listed %d, omitted %d", s.Destroyed, len(s.List), s.Omitted)
	}
	t.Logf("%d connections ended in %v, %v each", s.Destroyed, s.Took, s.Took/time.Duration(s.Destroyed))
	if s, err := k.Sever(t.Context(), isolate.Policy{}); err != nil || s.Destroyed+s.Gone+s.Failed != 0 {
		t.Errorf("again: %+v, %v", s, err)
	}
}

func TestSeverNeedsRoot(t *testing.T) {
	l := lab(t)
	p := connect(t, l.PC, l.Peer, "tcp", l.B.At(4, 9000), 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread's rights are gone
		if err := unix.Setns(l.PC.FD(), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&head, &none[0]); err != nil {
			t.Error(err)
			return
		}
		s, err := New(Config{}).Sever(t.Context(), isolate.Policy{})
		if !errors.Is(err, isolate.ErrNeedsRoot) || s.Destroyed != 0 || s.Failed != 1 {
			t.Errorf("%+v, %v", s, err)
		}
	}()
	<-done
	check(t, p.say())
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := New(Config{NetNS: l.PC.FD()}).Sever(ctx, isolate.Policy{}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	check(t, p.say())
}
