package netlab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"hozen/internal/netlab"
)

func need(t *testing.T) {
	t.Helper()
	if err := netlab.Available(); err != nil {
		t.Skip("needs root: ", err)
	}
}

func pair(t *testing.T) *netlab.Pair {
	t.Helper()
	need(t)
	p, err := netlab.NewPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// hello dials address from one host and reads what the listener at the other says.
func hello(t *testing.T, from, to *netlab.Host, address string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	l, err := to.Listen(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			io.WriteString(c, "hello")
			c.Close()
		}
	}()
	c, err := from.Dial(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
		t.Fatalf("read %q, %v", b, err)
	}
}

func TestPairCarriesBothFamilies(t *testing.T) {
	p := pair(t)
	// At once: no waiting for duplicate address detection.
	for _, family := range []int{4, 6} {
		hello(t, p.PC, p.Peer, p.B.At(family, 1000))
		hello(t, p.Peer, p.PC, p.A.At(family, 1000))
	}
	hello(t, p.PC, p.PC, "127.0.0.1:1001")
	hello(t, p.PC, p.PC, "[::1]:1001")
}

func TestHostsAreApartFromThisMachine(t *testing.T) {
	p := pair(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := p.PC.Dial(t.Context(), "tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("the host reached this machine's loopback")
	}
	if c, err := p.PC.Dial(t.Context(), "tcp", "192.0.2.1:9"); err == nil || !strings.Contains(err.Error(), "unreachable") {
		if c != nil {
			c.Close()
		}
		t.Errorf("dialling the world: %v, want unreachable", err)
	}
}

func TestForwardingHostInTheMiddle(t *testing.T) {
	p := pair(t)
	far, err := p.AddHost()
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.Join(p.PC, far)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		p.PC.Sysctl("net.ipv4.ip_forward", "1"),
		p.PC.Sysctl("net.ipv6.conf.all.forwarding", "1"),
		far.AddRoute(p.V4, second.A.V4), far.AddRoute(p.V6, second.A.V6),
		p.Peer.AddRoute(second.V4, p.A.V4), p.Peer.AddRoute(second.V6, p.A.V6),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	hello(t, far, p.Peer, p.B.At(4, 1000))
	hello(t, far, p.Peer, p.B.At(6, 1000))
}

func TestDoReportsGoexit(t *testing.T) {
	need(t)
	h, err := netlab.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	want := errors.New("mine")
	if err := h.Do(func() error { return want }); err != want {
		t.Errorf("got %v, want %v", err, want)
	}
	if err := h.Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("a function that did not end well gave no error")
	}
}

func TestStartedProcessIsInsideAndDiesWithTheHost(t *testing.T) {
	need(t)
	p, err := netlab.NewPractice(nil)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sleep", "1000")
	if err := p.PC.Start(cmd); err != nil {
		t.Fatal(errors.Join(err, p.Close()))
	}
	var inside string
	if err := p.PC.Do(func() (err error) {
		inside, err = os.Readlink("/proc/thread-self/ns/net")
		return err
	}); err != nil {
		t.Error(err)
	}
	got, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	if err != nil || got != inside {
		t.Errorf("process is in %q, %v; want %q", got, err, inside)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("process ended with %v, want killed", err)
	}
	if err := p.PC.Start(exec.Command("/bin/true")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("starting at a closed host: %v, want os.ErrClosed", err)
	}
}

func TestPracticeReachesAListenerOutside(t *testing.T) {
	p := pair(t)
	pc, err := netlab.NewPractice(p.Peer)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for _, family := range []int{4, 6} {
		hello(t, pc.PC, p.Peer, pc.Outside.At(family, 2000))
		hello(t, p.Peer, pc.PC, pc.Inside.At(family, 2000))
	}
}

// The demo's practice PC is joined to this machine itself.
func TestPracticeOnThisMachineLeavesNothing(t *testing.T) {
	need(t)
	before := hozenDevices(t)
	pc, err := netlab.NewPractice(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	for _, family := range []int{4, 6} {
		l, err := net.Listen("tcp", pc.Outside.At(family, 0))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := pc.PC.Dial(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		from := netip.MustParseAddrPort(c.LocalAddr().String()).Addr()
		if from != pc.Inside.AddrPort(family, 0).Addr() {
			t.Errorf("came from %v, want %v", from, pc.Inside)
		}
		c.Close()
	}
	if err := pc.Close(); err != nil {
		t.Error(err)
	}
	if after := hozenDevices(t); after != before {
		t.Errorf("devices after Close: %q, before: %q", after, before)
	}
}

// A process that is killed in the middle leaves neither namespace nor cable.
func TestKilledProcessLeavesNothing(t *testing.T) {
	if os.Getenv("NETLAB_HOLD") != "" {
		pc, err := netlab.NewPractice(nil)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sleep", "1000")
		if err := pc.PC.Start(cmd); err != nil {
			t.Fatal(err)
		}
		fmt.Println("holding")
		select {}
	}
	need(t)
	before := hozenDevices(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcessLeavesNothing$")
	cmd.Env = append(os.Environ(), "NETLAB_HOLD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len("holding"))
	if _, err := io.ReadFull(out, b); err != nil || string(b) != "holding" {
		t.Fatalf("child said %q, %v", b, err)
	}
	if hozenDevices(t) == before {
		t.Error("the child has no cable; the test shows nothing")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // "signal: killed"
	// The kernel takes namespaces apart in the background.
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for hozenDevices(t) != before {
		select {
		case <-deadline:
			t.Fatalf("devices 20 s after the kill: %q, before: %q", hozenDevices(t), before)
		case <-tick.C:
		}
	}
}

func hozenDevices(t *testing.T) string {
	t.Helper()
	ifs, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range ifs {
		if strings.HasPrefix(i.Name, "hozen-") {
			names = append(names, i.Name)
		}
	}
	return strings.Join(names, " ")
}
