package isolatetest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"hozen/agent/internal/isolate"
)

// PolicyA is a policy with a collector of both families.
func PolicyA() isolate.Policy {
	return isolate.Policy{Mode: isolate.Standard, Collectors: []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.1:7443"), netip.MustParseAddrPort("[2001:db8::1]:7443"),
	}}
}

// PolicyB is a policy with another collector, IPv4 alone.
func PolicyB() isolate.Policy {
	return isolate.Policy{Mode: isolate.Standard, Collectors: []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.2:7443"),
	}}
}

// PolicyC is PolicyA with permits of both families and protocols.
func PolicyC() isolate.Policy {
	p := PolicyA()
	p.Mode = isolate.Selective
	end := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	p.Permits = []isolate.Permit{
		{Network: netip.MustParsePrefix("198.51.100.7/32"), Protocol: isolate.TCP, First: 443, Last: 443, Reason: "patches", ExpiresAt: end},
		{Network: netip.MustParsePrefix("2001:db8:7::/64"), Protocol: isolate.UDP, First: 5000, Last: 5010, Host: "voice.example", ExpiresAt: end},
		{Network: netip.MustParsePrefix("10.32.0.0/11"), Protocol: isolate.UDP, First: 1, Last: 65535, ExpiresAt: end},
	}
	return p
}

// PolicyD is PolicyA behind tunnels of each kind.
func PolicyD() isolate.Policy {
	p := PolicyA()
	p.Tunnels = []isolate.Tunnel{
		{Address: netip.MustParseAddr("198.51.100.4"), Protocol: isolate.ProtocolIPv4, Link: "ipip0"},
		{Address: netip.MustParseAddr("198.51.100.4"), Protocol: isolate.ProtocolIPv6, Link: "sit0"},
		{Address: netip.MustParseAddr("2001:db8:5::4"), Protocol: isolate.ProtocolGRE, Link: "gre0"},
		{Address: netip.MustParseAddr("198.51.100.5"), Protocol: isolate.ProtocolUDP, Port: 4789, Own: 4789, Link: "vxlan0"},
		{Address: netip.MustParseAddr("2001:db8:5::5"), Protocol: isolate.ProtocolUDP, Port: 51820, Link: "wg0"},
		{Address: netip.MustParseAddr("198.51.100.6"), Protocol: isolate.ProtocolTCP, Port: 443, Link: "tun0"},
	}
	return p
}

// PolicyFull allows nobody.
func PolicyFull() isolate.Policy { return isolate.Policy{Mode: isolate.Full} }

// Run checks the contract of isolate.Firewall. Each part gets a firewall of its own,
// with nothing of ours in force, from open.
func Run(t *testing.T, open func(*testing.T) isolate.Firewall) {
	a, b, none := PolicyA(), PolicyB(), isolate.Policy{}
	t.Run("restore without apply", func(t *testing.T) {
		f := open(t)
		must(t, f.Restore(t.Context()))
		released(t, f)
	})
	t.Run("apply then restore", func(t *testing.T) {
		f := open(t)
		released(t, f)
		must(t, f.Apply(t.Context(), a))
		inForce(t, f, a)
		must(t, f.Restore(t.Context()))
		released(t, f)
		must(t, f.Restore(t.Context()))
		released(t, f)
	})
	t.Run("apply twice is the same", func(t *testing.T) {
		f := open(t)
		must(t, f.Apply(t.Context(), a))
		first := inForce(t, f, a)
		must(t, f.Apply(t.Context(), a))
		if second := inForce(t, f, a); first.Digest != second.Digest {
			t.Errorf("digest changed from %s to %s", first.Digest, second.Digest)
		}
	})
	t.Run("apply replaces", func(t *testing.T) {
		f := open(t)
		must(t, f.Apply(t.Context(), a))
		first := inForce(t, f, a)
		must(t, f.Apply(t.Context(), b))
		if second := inForce(t, f, b); first.Digest == second.Digest {
			t.Error("two policies have the same digest")
		}
		o, err := f.Observe(t.Context(), &a)
		must(t, err)
		if o.Complete || len(o.Gaps) == 0 {
			t.Errorf("the replaced policy still counts as in force: %+v", o)
		}
	})
	t.Run("order and spelling of addresses do not matter", func(t *testing.T) {
		f := open(t)
		p := a
		p.Mode = ""
		p.Collectors = []netip.AddrPort{a.Collectors[1], a.Collectors[0], a.Collectors[1],
			netip.AddrPortFrom(netip.AddrFrom16(a.Collectors[0].Addr().As16()), a.Collectors[0].Port())}
		must(t, f.Apply(t.Context(), p))
		inForce(t, f, a)
	})
	t.Run("modes", func(t *testing.T) {
		f := open(t)
		seen := map[string]bool{}
		for _, p := range []isolate.Policy{a, PolicyC(), PolicyFull(), PolicyD(), PolicyC(), a, PolicyD()} {
			must(t, f.Apply(t.Context(), p))
			seen[inForce(t, f, p).Digest] = true
		}
		if len(seen) != 4 {
			t.Errorf("%d digests of four policies", len(seen))
		}
	})
	t.Run("a permit more is another policy", func(t *testing.T) {
		f := open(t)
		p, less := PolicyC(), PolicyC()
		less.Permits = less.Permits[1:]
		must(t, f.Apply(t.Context(), p))
		o, err := f.Observe(t.Context(), &less)
		must(t, err)
		if o.Complete {
			t.Error("a permit that ended counts as ended although it is in force")
		}
		must(t, f.Apply(t.Context(), less))
		inForce(t, f, less)
	})
	t.Run("a tunnel less is another policy", func(t *testing.T) {
		f := open(t)
		for i := range PolicyD().Tunnels {
			p, less := PolicyD(), PolicyD()
			less.Tunnels = append(less.Tunnels[:i:i], less.Tunnels[i+1:]...)
			must(t, f.Apply(t.Context(), p))
			inForce(t, f, p)
			o, err := f.Observe(t.Context(), &less)
			if err != nil || o.Complete || len(o.Gaps) == 0 {
				t.Errorf("without %s: %+v, %v", p.Tunnels[i], o, err)
			}
		}
	})
	t.Run("how a tunnel was found changes no rule", func(t *testing.T) {
		f, p, q := open(t), PolicyD(), PolicyD()
		for i := range q.Tunnels {
			q.Tunnels[i].Link, q.Tunnels[i].Why, q.Tunnels[i].Proved = "other0", "for another reason", true
		}
		must(t, f.Apply(t.Context(), p))
		inForce(t, f, q)
	})
	t.Run("why and until when a permit holds changes no rule", func(t *testing.T) {
		f := open(t)
		p := PolicyC()
		must(t, f.Apply(t.Context(), p))
		p.Permits = append(p.Permits, p.Permits[0])
		p.Permits[3].Reason, p.Permits[3].ExpiresAt = "another", p.Permits[3].ExpiresAt.Add(time.Hour)
		inForce(t, f, p)
	})
	t.Run("policy without collectors", func(t *testing.T) {
		f := open(t)
		must(t, f.Apply(t.Context(), none))
		inForce(t, f, none)
	})
	t.Run("what is in force is not released", func(t *testing.T) {
		f := open(t)
		must(t, f.Apply(t.Context(), a))
		o, err := f.Observe(t.Context(), nil)
		must(t, err)
		if !o.Present || o.Complete || len(o.Gaps) == 0 || len(o.Tables) == 0 {
			t.Errorf("leftover is not seen: %+v", o)
		}
	})
	t.Run("nothing in force is not isolated", func(t *testing.T) {
		f := open(t)
		o, err := f.Observe(t.Context(), &a)
		must(t, err)
		if o.Present || o.Complete || len(o.Gaps) == 0 {
			t.Errorf("isolation is seen where there is none: %+v", o)
		}
	})
	t.Run("ended context", func(t *testing.T) {
		f := open(t)
		ctx, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer stop()
		if err := f.Apply(ctx, a); err == nil {
			t.Error("apply: no error")
		}
		if _, err := f.Observe(ctx, &a); err == nil {
			t.Error("observe: no error")
		}
		if err := f.Restore(ctx); err == nil {
			t.Error("restore: no error")
		}
		released(t, f)
	})
}

func inForce(t *testing.T, f isolate.Firewall, p isolate.Policy) isolate.Observation {
	t.Helper()
	start := time.Now()
	o, err := f.Observe(t.Context(), &p)
	must(t, err)
	if !o.Present || !o.Complete || len(o.Gaps) != 0 {
		t.Fatalf("policy is not in force: %+v", o)
	}
	if o.Digest == "" || o.Digest != o.Expected {
		t.Fatalf("digest %q, expected %q", o.Digest, o.Expected)
	}
	if o.MeasuredAt.Before(start.Round(0)) || o.MeasuredAt.After(time.Now()) {
		t.Fatalf("measured at %v, not within the call", o.MeasuredAt)
	}
	return o
}

func released(t *testing.T, f isolate.Firewall) {
	t.Helper()
	o, err := f.Observe(t.Context(), nil)
	must(t, err)
	if o.Present || !o.Complete || len(o.Gaps) != 0 || len(o.Tables) != 0 {
		t.Fatalf("something is in force: %+v", o)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
