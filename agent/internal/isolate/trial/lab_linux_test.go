package trial_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/nft"
	"hozen/agent/internal/isolate/trial"
	"hozen/internal/netlab"
)

const collectorPort = 7443

// lab is a PC with a gateway at the other end of its cable, which is its resolver and
// time server too; the collector is behind another address of the same.
type lab struct {
	*netlab.Pair
	collector netlab.Addrs
	policy    isolate.Policy
	config    trial.Config

	homes  sync.RWMutex // held for reading by those on the way home
	closed bool
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newLab(t testing.TB) *lab {
	t.Helper()
	if err := netlab.Available(); err != nil {
		t.Skip("needs root: ", err)
	}
	p, err := netlab.NewPair()
	check(t, err)
	t.Cleanup(func() { check(t, p.Close()) })
	l := &lab{Pair: p, collector: p.Host(3)}
	t.Cleanup(func() { // a way home that was given up may still be under way
		l.homes.Lock()
		defer l.homes.Unlock()
		l.closed = true
	})
	check(t, p.Peer.AddAddr(p.NameB, netip.PrefixFrom(l.collector.V4, 24)))
	check(t, p.Peer.AddAddr(p.NameB, netip.PrefixFrom(l.collector.V6, 64)))
	l.ready(t)
	l.policy = isolate.Policy{Mode: isolate.Standard, Collectors: []netip.AddrPort{
		l.collector.AddrPort(4, collectorPort), l.collector.AddrPort(6, collectorPort),
	}}
	l.config = trial.Config{
		// Whatever answers, answers at once; a busy machine may take its time.
		Limit: 10 * time.Second, HomeLimit: 10 * time.Second, Settle: 50 * time.Millisecond,
		NetNS: p.PC.FD(), Root: t.TempDir(), WayHome: l.dial,
	}
	return l
}

// ready waits until the kernel knows that the addresses are its own: it finds out about
// those of IPv6 in the background, and until then looks for them on the wire.
func (l *lab) ready(t testing.TB) {
	t.Helper()
	for _, h := range []struct {
		host *netlab.Host
		at   netip.Addr
	}{{l.PC, l.A.V4}, {l.PC, l.A.V6}, {l.Peer, l.B.V6}, {l.Peer, l.collector.V6}} {
		ln, err := h.host.Listen(t.Context(), "tcp", netip.AddrPortFrom(h.at, 0).String())
		check(t, err)
		defer ln.Close()
		for end := time.Now().Add(20 * time.Second); ; {
			ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
			c, err := h.host.Dial(ctx, "tcp", ln.Addr().String())
			stop()
			if err == nil {
				c.Close()
				break
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
	}
}

// serve lets the gateway answer DNS by both transports, and the collector take
// connections.
func (l *lab) serve(t testing.TB) {
	t.Helper()
	l.configure(t, fmt.Sprintf("search example.test\nnameserver 127.0.0.53\nnameserver %s\nnameserver %s\n", l.B.V4, l.B.V6))
	for _, family := range []int{4, 6} {
		c, err := l.Peer.ListenPacket(t.Context(), "udp", l.B.At(family, 53))
		check(t, err)
		t.Cleanup(func() { c.Close() })
		go func() {
			b := make([]byte, 512)
			for {
				n, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				b[2] |= 0x80 // an answer
				_, _ = c.WriteTo(b[:n], from)
			}
		}()
		for _, a := range []string{l.B.At(family, 53), l.collector.At(family, collectorPort)} {
			ln, err := l.Peer.Listen(t.Context(), "tcp", a)
			check(t, err)
			t.Cleanup(func() { ln.Close() })
			go func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					c.Close()
				}
			}()
		}
	}
}

func (l *lab) configure(t testing.TB, resolv string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Join(l.config.Root, "etc"), 0o755))
	check(t, os.WriteFile(filepath.Join(l.config.Root, "etc/resolv.conf"), []byte(resolv), 0o644))
}

func (l *lab) route(t testing.TB) {
	t.Helper()
	check(t, l.PC.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), l.B.V4))
	check(t, l.PC.AddRoute(netip.MustParsePrefix("::/0"), l.B.V6))
}

// dial is the way home.
func (l *lab) dial(ctx context.Context) error {
	l.homes.RLock()
	defer l.homes.RUnlock()
	if l.closed {
		return net.ErrClosed
	}
	var errs []error
	for _, family := range []int{4, 6} {
		c, err := l.PC.Dial(ctx, "tcp", l.collector.At(family, collectorPort))
		if err == nil {
			err = c.Close()
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (l *lab) firewall(t testing.TB) (*nft.Firewall, func(context.Context) ([]isolate.Drop, error)) {
	fw := nft.New(nft.Config{NetNS: l.PC.FD()})
	t.Cleanup(func() { check(t, fw.Close()) })
	return fw, func(ctx context.Context) ([]isolate.Drop, error) {
		o, err := fw.Observe(ctx, &l.policy)
		return o.Drops, err
	}
}

// prober waits until everything is known.
func (l *lab) prober() *trial.Prober { return trial.New(l.config) }

// short is for what waits the whole time because it should not come.
func (l *lab) short() *trial.Prober {
	c := l.config
	c.Limit = 100 * time.Millisecond
	return trial.New(c)
}

func matrix(ts []isolate.Trial) string {
	var b strings.Builder
	for _, t := range ts {
		fmt.Fprintf(&b, "%-14s %-10s %-13s %5.1f ms  %-16s %d  %s\n", t.Name, t.Outcome, t.Reason, t.Took.Seconds()*1000, t.Chain, t.Dropped, t.Target)
	}
	return b.String()
}

// The ways that should be cut, and those that must be open.
var (
	cut  = []string{"tcp4", "udp4", "dns4", "icmp4", "raw4", "raw4_bypass", "tcp6", "udp6", "dns6", "icmp6", "raw6", "raw6_bypass"}
	pass = []string{"loopback4", "own4", "loopback6", "own6", "collector"}
)

// expect fails unless the trials are exactly those of names, each with its outcome.
func expect(t *testing.T, ts []isolate.Trial, want func(name string) (isolate.TrialOutcome, string)) {
	t.Helper()
	seen := map[string]bool{}
	for _, o := range ts {
		seen[o.Name] = true
		outcome, reason := want(o.Name)
		if o.Outcome != outcome || o.Reason != reason && (reason != passed || o.Reason != trial.Left && o.Reason != trial.Answered) {
			t.Errorf("%s to %q is %s (%s), want %s (%s)", o.Name, o.Target, o.Outcome, o.Reason, outcome, reason)
		}
		if o.At.IsZero() || o.Took < 0 {
			t.Errorf("%s: at %v, took %v", o.Name, o.At, o.Took)
		}
	}
	for _, name := range slices.Concat(cut, pass) {
		if !seen[name] {
			t.Errorf("%s was not tried", name)
		}
	}
}

// passed stands for either reason of what is not cut: who leaves is seen sooner than the
// answer, or later.
const passed = "left or answered"

func allAsOrdered(string) (isolate.TrialOutcome, string) { return isolate.AsOrdered, "" }

// rest wants what must be open to be so, and for what should be cut what is given.
func rest(outcome isolate.TrialOutcome, reason string) func(string) (isolate.TrialOutcome, string) {
	return func(name string) (isolate.TrialOutcome, string) {
		if slices.Contains(pass, name) {
			return isolate.AsOrdered, ""
		}
		return outcome, reason
	}
}

func (l *lab) controls(t testing.TB) isolate.Controls {
	t.Helper()
	c := l.prober().Controls(t.Context())
	var names []string
	for _, o := range c.Open {
		names = append(names, o.Name)
	}
	for _, name := range slices.Concat(cut, pass) {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not open before the cut: %v", name, c.Open)
		}
	}
	if c.At.IsZero() || t.Failed() {
		t.Fatalf("controls %+v", c)
	}
	return c
}

// Every way, of both IP versions, is open before; cut, and shown to be so, through the
// rules; and what must be open is.
func TestEveryWayIsShown(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	l.route(t)
	start := time.Now()
	controls := l.controls(t)
	t.Logf("controls took %v", time.Since(start))
	fw, drops := l.firewall(t)
	check(t, fw.Apply(t.Context(), l.policy))
	// An isolated PC forgets its gateway's address at the link in time.
	check(t, l.PC.ForgetNeighbours(l.NameA))
	for range 3 {
		start := time.Now()
		ts := l.prober().Try(t.Context(), l.policy, controls, drops)
		t.Logf("standard, %v:\n%s", time.Since(start), matrix(ts))
		expect(t, ts, allAsOrdered)
		for _, o := range ts {
			if slices.Contains(cut, o.Name) && (o.Dropped == 0 || o.Chain == "") {
				t.Errorf("%s: chain %q dropped %d", o.Name, o.Chain, o.Dropped)
			}
		}
	}
	// Without rules the same trials tell that everything passes.
	check(t, fw.Restore(t.Context()))
	ts := l.prober().Try(t.Context(), l.policy, controls, drops)
	expect(t, ts, rest(isolate.Contrary, passed))
}
