package trial_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/trial"
)

// nft runs nft(8) in the PC, as somebody with root would.
func (l *lab) nft(t testing.TB, script string) string {
	t.Helper()
	path, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("needs the program nft: ", err)
	}
	var out strings.Builder
	cmd := exec.Command(path, "-f", "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script), &out, &out
	check(t, l.PC.Start(cmd))
	if err := cmd.Wait(); err != nil {
		t.Fatalf("nft: %v: %s", err, out.String())
	}
	return out.String()
}

// plain is an inet table as a firewall's manual has it, with the same purpose.
func (l *lab) plain(t testing.TB) func(context.Context) ([]isolate.Drop, error) {
	nd := "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept"
	l.nft(t, fmt.Sprintf(`table inet plain {
  chain in { type filter hook input priority -450; policy drop; iif lo accept; ip saddr %[1]s tcp sport %[3]d accept; ip6 saddr %[2]s tcp sport %[3]d accept; %[4]s; counter drop; }
  chain out { type filter hook output priority -450; policy drop; oif lo accept; ip daddr %[1]s tcp dport %[3]d accept; ip6 daddr %[2]s tcp dport %[3]d accept; %[4]s; counter drop; }
}`, l.collector.V4, l.collector.V6, collectorPort, nd))
	last := regexp.MustCompile(`counter packets (\d+) bytes \d+ drop`)
	return func(context.Context) ([]isolate.Drop, error) {
		m := last.FindStringSubmatch(l.nft(t, "list chain inet plain out"))
		if m == nil {
			return nil, errors.New("no counter")
		}
		n, err := strconv.ParseUint(m[1], 10, 64)
		return []isolate.Drop{{Chain: "inet out", Packets: n}}, err
	}
}

func isRaw(name string) bool { return strings.HasPrefix(name, "raw") }

// The same trials through our rules and through a plain inet table: what is written
// straight to the device leaves the second, and is seen to.
func TestPlainTableBeside(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	l.route(t)
	controls := l.controls(t)
	fw, drops := l.firewall(t)
	check(t, fw.Apply(t.Context(), l.policy))
	ours := l.prober().Try(t.Context(), l.policy, controls, drops)
	expect(t, ours, allAsOrdered)
	check(t, fw.Restore(t.Context()))
	theirs := l.prober().Try(t.Context(), l.policy, controls, l.plain(t))
	expect(t, theirs, func(name string) (isolate.TrialOutcome, string) {
		if isRaw(name) {
			return isolate.Contrary, passed
		}
		return isolate.AsOrdered, ""
	})
	t.Logf("inet and netdev tables:\n%s", matrix(ours))
	t.Logf("plain inet table:\n%s", matrix(theirs))
}

// Somebody inserts rules that accept: what leaves is seen, although no answer comes
// through the rules that are left.
func TestAcceptIsSeen(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	l.route(t)
	controls := l.controls(t)
	fw, drops := l.firewall(t)
	for _, tt := range []struct {
		name, script string
		raw, others  []string // outcome and reason
	}{
		{"out", "insert rule inet hozen out accept",
			[]string{"as_ordered", ""}, []string{"unknown", trial.NoCounter}},
		{"device", "insert rule netdev hozen out_eth0 accept",
			[]string{"contrary", passed}, []string{"as_ordered", ""}},
		{"both", "insert rule inet hozen out accept\ninsert rule netdev hozen out_eth0 accept",
			[]string{"contrary", passed}, []string{"contrary", passed}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check(t, fw.Apply(t.Context(), l.policy))
			check(t, fw.Close()) // who holds the rules lets go of them
			l.nft(t, tt.script)
			p := l.prober()
			if tt.others[1] == trial.NoCounter {
				p = l.short()
			}
			ts := p.Try(t.Context(), l.policy, controls, drops)
			expect(t, ts, func(name string) (isolate.TrialOutcome, string) {
				want := tt.others
				switch {
				case slices.Contains(pass, name):
					return isolate.AsOrdered, ""
				case isRaw(name):
					want = tt.raw
				}
				return isolate.TrialOutcome(want[0]), want[1]
			})
			t.Logf("\n%s", matrix(ts))
		})
	}
}

// What leaves is told even if nothing comes back.
func TestLeavingIsSeen(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	l.route(t)
	controls := l.controls(t)
	fw, drops := l.firewall(t)
	check(t, fw.Apply(t.Context(), l.policy))
	check(t, fw.Close())
	l.nft(t, "insert rule inet hozen out accept\ninsert rule netdev hozen out_eth0 accept")
	check(t, l.Peer.Sysctl("net.ipv4.icmp_echo_ignore_all", "1"))
	for _, o := range l.short().Try(t.Context(), l.policy, controls, drops) {
		switch o.Name {
		case "icmp4", "raw4":
			if o.Outcome != isolate.Contrary || o.Reason != trial.Left {
				t.Errorf("%+v", o)
			}
		case "raw4_bypass": // passes by what would see it, so that nothing is known of it
			if o.Outcome != isolate.NotShown || o.Reason != trial.NoCounter {
				t.Errorf("%+v", o)
			}
		}
	}
}

// Without anybody to try it with nothing is shown, and never that it is cut.
func TestNoGateway(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.prober().Controls(t.Context())
	for _, o := range c.Open {
		if slices.Contains(cut, o.Name) {
			t.Errorf("%+v is open, with nobody", o)
		}
	}
	fw, drops := l.firewall(t)
	check(t, fw.Apply(t.Context(), l.policy))
	expect(t, l.prober().Try(t.Context(), l.policy, c, drops), func(name string) (isolate.TrialOutcome, string) {
		switch {
		case name == "collector": // nobody serves
			return isolate.NotShown, trial.NoControl
		case slices.Contains(pass, name):
			return isolate.AsOrdered, ""
		}
		return isolate.NotShown, trial.NoControl
	})
}

// A gateway that never answered shows nothing either, whatever the counters say.
func TestSilentGateway(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.route(t)
	l.configure(t, fmt.Sprintf("nameserver %s\nnameserver %s\n", l.B.V4, l.B.V6))
	fw, drops := l.firewall(t)
	check(t, fw.Apply(t.Context(), l.policy))
	ts := l.prober().Try(t.Context(), l.policy, isolate.Controls{}, drops)
	for _, o := range ts {
		if slices.Contains(cut, o.Name) && (o.Outcome != isolate.NotShown || o.Reason != trial.NoControl || o.Target == "") {
			t.Errorf("%+v", o)
		}
	}
}

// Counters that do not rise, cannot be read or were reset show nothing.
func TestCounterThatDoesNotRise(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	l.route(t)
	controls := l.controls(t)
	fw, real := l.firewall(t)
	check(t, fw.Apply(t.Context(), l.policy))
	left, few, asked := uint64(1000), uint64(0), 0
	for name, drops := range map[string]func(context.Context) ([]isolate.Drop, error){
		"stands still": func(context.Context) ([]isolate.Drop, error) {
			return []isolate.Drop{{Chain: "inet out", Packets: 7}, {Chain: "netdev out_eth0", Packets: 7}}, nil
		},
		"cannot be read": func(ctx context.Context) ([]isolate.Drop, error) {
			ds, _ := real(ctx)
			if asked++; asked > 3 {
				t.Error("asked again and again")
			}
			return ds, errors.New("no")
		},
		"falls": func(context.Context) ([]isolate.Drop, error) {
			left--
			return []isolate.Drop{{Chain: "inet out", Packets: left}, {Chain: "netdev out_eth0", Packets: left}}, nil
		},
		"counts one of many": func(context.Context) ([]isolate.Drop, error) {
			few = min(few+1, 2)
			return []isolate.Drop{{Chain: "inet out", Packets: few}, {Chain: "netdev out_eth0", Packets: few}}, nil
		},
		"of other chains": func(ctx context.Context) ([]isolate.Drop, error) {
			ds, err := real(ctx)
			for i := range ds {
				ds[i].Chain = "others " + ds[i].Chain
			}
			return ds, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, l.short().Try(t.Context(), l.policy, controls, drops), rest(isolate.NotShown, trial.NoCounter))
		})
	}
	// One chain is not the other.
	drops := func(ctx context.Context) ([]isolate.Drop, error) {
		ds, err := real(ctx)
		return slices.DeleteFunc(ds, func(d isolate.Drop) bool { return strings.HasPrefix(d.Chain, "netdev") }), err
	}
	expect(t, l.short().Try(t.Context(), l.policy, controls, drops), func(name string) (isolate.TrialOutcome, string) {
		if isRaw(name) {
			return isolate.NotShown, trial.NoCounter
		}
		return isolate.AsOrdered, ""
	})
}

// Controls of long ago, or with who is no gateway any more, show nothing.
func TestStaleControls(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	l.route(t)
	controls := l.controls(t)
	fw, drops := l.firewall(t)
	check(t, fw.Apply(t.Context(), l.policy))
	old := controls
	old.At = old.At.Add(-31 * 24 * time.Hour)
	expect(t, l.prober().Try(t.Context(), l.policy, old, drops), rest(isolate.NotShown, trial.StaleControl))
	moved := isolate.Controls{At: controls.At}
	for _, o := range controls.Open {
		o.Target = strings.NewReplacer(l.B.V4.String(), "192.0.2.1", l.B.V6.String(), "2001:db8::1").Replace(o.Target)
		moved.Open = append(moved.Open, o)
	}
	expect(t, l.prober().Try(t.Context(), l.policy, moved, drops), rest(isolate.NotShown, trial.StaleControl))
}

// With Full the collector has to be cut as well.
func TestCollectorIsCut(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	l.route(t)
	controls := l.controls(t)
	fw, drops := l.firewall(t)
	l.policy.Mode = isolate.Full
	check(t, fw.Apply(t.Context(), l.policy.Clean()))
	l.config.HomeLimit = 500 * time.Millisecond
	ts := l.prober().Try(t.Context(), l.policy, controls, drops)
	expect(t, ts, allAsOrdered)
	still := func(context.Context) ([]isolate.Drop, error) { return []isolate.Drop{{Chain: "inet out"}}, nil }
	ts = l.short().Try(t.Context(), l.policy, controls, still)
	if o := ts[len(ts)-1]; o.Name != "collector" || o.Outcome != isolate.NotShown || o.Reason != trial.NoCounter {
		t.Errorf("%+v", o)
	}
	check(t, fw.Restore(t.Context()))
	ts = l.prober().Try(t.Context(), l.policy, controls, drops)
	if o := ts[len(ts)-1]; o.Name != "collector" || o.Outcome != isolate.Contrary {
		t.Errorf("%+v", o)
	}
}

// A collector that was there and is not any more is contrary to the order; one that was
// never there shows nothing.
func TestCollectorDoesNotAnswer(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	l.route(t)
	controls := l.controls(t)
	fw, drops := l.firewall(t)
	check(t, fw.Apply(t.Context(), l.policy))
	c := l.config
	c.HomeLimit = 50 * time.Millisecond
	free := make(chan struct{})
	defer close(free)
	c.WayHome = func(context.Context) error { <-free; return nil } // deaf to its context
	for _, known := range []isolate.Controls{controls, {}} {
		ts := trial.New(c).Try(t.Context(), l.policy, known, drops)
		want := isolate.Contrary
		if len(known.Open) == 0 {
			want = isolate.NotShown
		}
		if o := ts[len(ts)-1]; o.Name != "collector" || o.Outcome != want {
			t.Errorf("%+v, want %s", o, want)
		}
	}
}

// What a permit opens is tried, and is no leak.
func TestPermits(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	l.route(t)
	controls := l.controls(t)
	p := l.policy
	p.Mode = isolate.Selective
	until := time.Now().Add(time.Hour)
	for _, family := range []int{4, 6} {
		to := l.B.AddrPort(family, 53)
		host := netip.PrefixFrom(to.Addr(), to.Addr().BitLen())
		for _, protocol := range []isolate.Protocol{isolate.TCP, isolate.UDP} {
			p.Permits = append(p.Permits, isolate.Permit{Network: host, Protocol: protocol, First: 53, Last: 53, ExpiresAt: until})
		}
	}
	l.policy = p
	// The rules of permits are somebody else's; here everything but frames is let through.
	fw, drops := l.firewall(t)
	check(t, fw.Apply(t.Context(), p))
	check(t, fw.Close())
	l.nft(t, "insert rule inet hozen out meta l4proto {tcp, udp} th dport 53 accept\ninsert rule netdev hozen permit_out meta l4proto {tcp, udp} th dport 53 accept\n"+
		"insert rule inet hozen in meta l4proto {tcp, udp} th sport 53 accept\ninsert rule netdev hozen permit_in meta l4proto {tcp, udp} th sport 53 accept")
	ts := l.prober().Try(t.Context(), p, controls, drops)
	expect(t, ts, allAsOrdered)
	n := 0
	for _, o := range ts {
		if strings.HasPrefix(o.Name, "permit") {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d permits were tried, want 2:\n%s", n, matrix(ts))
	}
}

// Without the right to send frames that is said of them, and the rest is shown.
func TestNeedsRights(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	l.route(t)
	controls := l.controls(t)
	fw, drops := l.firewall(t)
	check(t, fw.Apply(t.Context(), l.policy))
	var ts []isolate.Trial
	check(t, l.PC.Do(func() error { // on a thread that nobody uses again
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&head, &none[0]); err != nil {
			return err
		}
		c := l.config
		c.NetNS = 0
		ts = trial.New(c).Try(t.Context(), l.policy, controls, func(ctx context.Context) (ds []isolate.Drop, err error) {
			done := make(chan struct{})
			go func() { // on another thread, whose rights are still there
				defer close(done)
				ds, err = drops(ctx)
			}()
			<-done
			return ds, err
		})
		return nil
	}))
	expect(t, ts, func(name string) (isolate.TrialOutcome, string) {
		if isRaw(name) || strings.HasPrefix(name, "icmp") {
			return isolate.NotShown, trial.NoRights
		}
		return isolate.AsOrdered, ""
	})
}

// An order in haste leaves little time; what answers at once is known all the same.
func TestControlsInHaste(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.serve(t)
	l.route(t)
	l.configure(t, fmt.Sprintf("nameserver %s\nnameserver %s\n", l.B.V4, l.collector.V4)) // the second does not answer
	l.config.WayHome = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	if c := l.prober().Controls(ctx); !slices.Contains(c.Open, isolate.Control{Name: "dns4", Target: l.B.At(4, 53)}) {
		t.Errorf("controls %+v", c)
	}
}

// A context that has ended ends everything, at once.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.route(t)
	l.configure(t, "nameserver 192.0.2.1\n")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	c := l.config
	c.Limit, c.HomeLimit = time.Hour, time.Hour
	trial.New(c).Controls(ctx)
	for _, o := range trial.New(c).Try(ctx, l.policy, isolate.Controls{}, func(ctx context.Context) ([]isolate.Drop, error) { return nil, ctx.Err() }) {
		if slices.Contains(cut, o.Name) && o.Outcome == isolate.AsOrdered {
			t.Errorf("%+v", o)
		}
	}
}
