package sever

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/nft"
	"hozen/internal/netlab"
)

// passOn is Config.Others with the namespaces of hosts.
func passOn(t testing.TB, unseen int, hosts ...*netlab.Host) func(context.Context, func(*os.File, uint64, string)) int {
	return func(_ context.Context, fn func(*os.File, uint64, string)) int {
		for i, h := range hosts {
			f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", h.FD()))
			check(t, err)
			fn(f, uint64(100+i), fmt.Sprint("container ", i))
		}
		return unseen
	}
}

// container is a host that sends through the PC.
func container(t testing.TB, l *netlab.Pair) (*netlab.Host, *netlab.Cable) {
	t.Helper()
	c, err := l.AddHost()
	check(t, err)
	cable, err := l.Join(l.PC, c)
	check(t, err)
	check(t, errors.Join(
		l.PC.Sysctl("net.ipv4.ip_forward", "1"), l.PC.Sysctl("net.ipv6.conf.all.forwarding", "1"),
		c.AddRoute(l.V4, cable.A.V4), c.AddRoute(l.V6, cable.A.V6),
		l.Peer.AddRoute(cable.V4, l.A.V4), l.Peer.AddRoute(cable.V6, l.A.V6)))
	return c, cable
}

// What a container has with others is ended inside of it, so that it does not go on after
// release, even with the collector or where a permit would let the PC itself; what stays in
// the container lives on.
func TestNothingInAContainerGoesOnAfterRelease(t *testing.T) {
	l := lab(t)
	c, cable := container(t, l)
	fw := nft.New(nft.Config{NetNS: l.PC.FD()})
	t.Cleanup(func() { check(t, fw.Close()) })
	store, err := isolate.NewFileStore(isolate.FileStoreConfig{Dir: t.TempDir(), Key: bytes.Repeat([]byte{'k'}, 32)})
	check(t, err)
	m, err := isolate.NewManager(isolate.Config{Firewall: fw, Store: store,
		Connections: New(Config{NetNS: l.PC.FD(), Others: passOn(t, 0, c)})})
	check(t, err)
	cut := []pair{
		connect(t, c, l.Peer, "tcp", l.B.At(4, 9000), 0),
		connect(t, c, l.Peer, "tcp", l.B.At(6, 9000), 0),
		connect(t, c, l.Peer, "tcp", l.B.At(4, 9001), 0), // permitted to the PC
		connect(t, c, l.Peer, "tcp", l.B.At(4, 7443), 0), // the collector
	}
	in := connect(t, l.Peer, c, "tcp", cable.B.At(4, 9002), 0)
	cut = append(cut, pair{near: in.far, far: in.near})
	stays := connect(t, c, c, "tcp", "127.0.0.1:9003", 0)

	permit := isolate.Permit{Network: netip.PrefixFrom(l.B.V4, 32), Protocol: isolate.TCP, First: 9001, Last: 9001, ExpiresAt: isolate.SystemClock{}.Now().AddDate(0, 0, 1)}
	st, err := m.Isolate(t.Context(), isolate.Request{CommandID: "cmd_1", Policy: isolate.Policy{
		Mode: isolate.Selective, Permits: []isolate.Permit{permit}, Collectors: []netip.AddrPort{l.B.AddrPort(4, 7443)},
	}})
	check(t, err)
	s := st.Severed
	if s == nil || s.Failed != 0 || s.Detail != "" || s.Destroyed != len(cut) || len(s.List) != len(cut) {
		t.Fatalf("severed %+v", s)
	}
	for _, one := range s.List {
		if one.NetNS != 100 || one.PID != uint32(os.Getpid()) || one.Outcome != "destroyed" {
			t.Errorf("%+v", one)
		}
	}
	for i, p := range cut {
		if err := aborted(p.near); !errors.Is(err, unix.ECONNABORTED) {
			t.Errorf("%d: got %v, want ECONNABORTED", i, err)
		}
	}
	_, err = m.Release(t.Context(), isolate.Request{CommandID: "cmd_2"})
	check(t, err)
	for i, p := range cut {
		if err := p.say(); err == nil {
			t.Errorf("%d goes on after release", i)
		}
	}
	check(t, stays.say())
	connect(t, c, l.Peer, "tcp", l.B.At(4, 9004), 0) // it is open again
}

// What could not be looked into is told, and keeps nothing else from being ended.
func TestNamespacesThatCannotBeEntered(t *testing.T) {
	l := lab(t)
	c, _ := container(t, l)
	inside := connect(t, c, l.Peer, "tcp", l.B.At(4, 9000), 0)
	here := connect(t, l.PC, l.Peer, "tcp", l.B.At(4, 9001), 0)
	good := passOn(t, 3, c)
	s, err := New(Config{NetNS: l.PC.FD(), Others: func(ctx context.Context, fn func(*os.File, uint64, string)) int {
		for i := range troublesMax + 2 {
			f, err := os.Open(os.DevNull)
			check(t, err)
			fn(f, uint64(i), fmt.Sprintf("process %d", i))
		}
		return good(ctx, fn)
	}}).Sever(t.Context(), isolate.Policy{})
	if err == nil || s.Unsupported || s.Destroyed != 2 || s.Failed != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, want := range []string{"network namespace of process 0: ", "network namespace of process 7: ", "and 3 more"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "process 8") || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, isolate.ErrNeedsRoot) {
		t.Errorf("too much is told: %v", err)
	}
	for _, p := range []pair{inside, here} {
		if err := aborted(p.near); !errors.Is(err, unix.ECONNABORTED) {
			t.Errorf("got %v, want ECONNABORTED", err)
		}
	}
}

// One namespace is done with before the next one is looked into, so that the sockets of all of
// them are never held at once.
func TestOneNamespaceAfterAnother(t *testing.T) {
	l := lab(t)
	first, _ := container(t, l)
	second, err := l.AddHost()
	check(t, err)
	p := connect(t, first, l.Peer, "tcp", l.B.At(4, 9000), 0)
	q := connect(t, l.PC, l.Peer, "tcp", l.B.At(4, 9001), 0)
	one, two := passOn(t, 0, first), passOn(t, 0, second)
	s, err := New(Config{NetNS: l.PC.FD(), Others: func(ctx context.Context, fn func(*os.File, uint64, string)) int {
		if err := aborted(q.near); !errors.Is(err, unix.ECONNABORTED) {
			t.Errorf("the endpoint's own connection waits for others: %v", err)
		}
		one(ctx, fn)
		if err := aborted(p.near); !errors.Is(err, unix.ECONNABORTED) {
			t.Errorf("the first namespace's connection waits for the second: %v", err)
		}
		return two(ctx, fn)
	}}).Sever(t.Context(), isolate.Policy{})
	check(t, err)
	if s.Destroyed != 2 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}
