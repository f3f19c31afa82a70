package isolate_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

func tunnelTo(address string) isolate.Tunnel {
	return isolate.Tunnel{Address: netip.MustParseAddr(address), Protocol: isolate.ProtocolUDP, Port: 4789, Own: 4789, Link: "vxlan0", Why: "vxlan0 leads there"}
}

// However tunnels are written, in whatever order and however often, a policy is the same
// after cleaning and after a way over the disk.
func TestTunnelsAreCanonical(t *testing.T) {
	one := rapid.Custom(func(t *rapid.T) isolate.Tunnel {
		w := isolate.Tunnel{
			Address:  netip.MustParseAddr(rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0", "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"}).Draw(t, "address")),
			Protocol: rapid.SampledFrom([]uint8{0, 1, 4, 6, 17, 41, 47, 50}).Draw(t, "protocol"),
			Link:     rapid.String().Draw(t, "link"), Why: rapid.String().Draw(t, "why"), Proved: rapid.Bool().Draw(t, "proved"),
		}
		if rapid.Bool().Draw(t, "with port") {
			w.Port = rapid.Uint16().Draw(t, "port")
			w.Own = rapid.SampledFrom([]uint16{0, 4789}).Draw(t, "own")
		}
		return w
	})
	rapid.Check(t, func(t *rapid.T) {
		p := isolatetest.PolicyA()
		p.Tunnels = rapid.SliceOfN(one, 0, isolate.TunnelsMax).Draw(t, "tunnels")
		q := p
		q.Tunnels = slices.Concat(rapid.Permutation(p.Tunnels).Draw(t, "other order"))
		if len(q.Tunnels) > 0 && len(q.Tunnels) < isolate.TunnelsMax {
			q.Tunnels = append(q.Tunnels, q.Tunnels[0])
		}
		c := p.Clean()
		if !p.Equal(q) || !c.Equal(p) || !slices.Equal(c.Tunnels, c.Clean().Tunnels) {
			t.Fatalf("%+v is not %+v", c.Tunnels, q.Clean().Tunnels)
		}
		for _, w := range c.Tunnels {
			if w.Address.Is4In6() || w.Address.Zone() != "" || w.Address.IsLoopback() || w.Address.IsMulticast() || w.Address.IsUnspecified() ||
				(w.Protocol == 6 || w.Protocol == 17) != (w.Port != 0) || w.Protocol == 50 || w.Protocol < 4 {
				t.Fatalf("%+v", w)
			}
		}
		b, err := json.Marshal(c)
		var back isolate.Policy
		if err != nil || json.Unmarshal(b, &back) != nil || !back.Equal(p) {
			t.Fatalf("%s", b)
		}
		if len(c.Tunnels) > 0 {
			less := c
			less.Tunnels = c.Tunnels[1:]
			if less.Equal(c) {
				t.Fatalf("without %s nothing is different", c.Tunnels[0])
			}
		}
		if p.Mode = isolate.Full; len(p.Clean().Tunnels) != 0 {
			t.Fatal("full isolation leaves a tunnel open")
		}
	})
}

func TestTooManyTunnels(t *testing.T) {
	p := isolatetest.PolicyA()
	for i := range 100 {
		p.Tunnels = append(p.Tunnels, tunnelTo(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}).String()))
	}
	if n := len(p.Clean().Tunnels); n != isolate.TunnelsMax {
		t.Errorf("%d tunnels", n)
	}
}
