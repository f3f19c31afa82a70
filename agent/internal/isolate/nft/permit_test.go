//go:build linux

package nft

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/isolate"
)

func (l *lab) permits(ps ...isolate.Permit) isolate.Policy {
	p := l.policy
	p.Mode = isolate.Selective
	for _, m := range ps {
		m.ExpiresAt = time.Now().Add(time.Hour)
		p.Permits = append(p.Permits, m)
	}
	return p
}

// Selective mode opens what the permits name and nothing beside it, in the direction in
// which the endpoint connects.
func TestSelectiveMatrix(t *testing.T) {
	l := newLab(t)
	cs := l.matrix()
	names := map[string]bool{"TCP out IPv4": true, "TCP out IPv6": true, "UDP out IPv4": true, "UDP out IPv6": true}
	for i := range cs {
		cs[i].open = cs[i].open || names[cs[i].name]
	}
	compareAll(t, "before", cs, every)
	l.policy = l.permits(
		isolate.Permit{Network: netip.PrefixFrom(l.B.V4, 32), Protocol: isolate.TCP, First: 8080, Last: 8080},
		isolate.Permit{Network: netip.PrefixFrom(l.B.V6, 128), Protocol: isolate.TCP, First: 8079, Last: 8081},
		isolate.Permit{Network: netip.PrefixFrom(l.B.V4, 31), Protocol: isolate.UDP, First: 3999, Last: 4000},
		isolate.Permit{Network: netip.PrefixFrom(l.B.V6, 64), Protocol: isolate.UDP, First: 4000, Last: 4000},
	)
	check(t, l.fw.Apply(t.Context(), l.policy))
	l.isolated(t)
	check(t, l.PC.ForgetNeighbours(l.NameA))
	check(t, l.Peer.ForgetNeighbours(l.NameB))
	compareAll(t, "selective", cs, opens)
	for _, family := range []int{4, 6} {
		self, other := l.A, l.B
		for name, try := range map[string]func() error{
			"a connection from the permitted port": func() error {
				return tcpFrom(l.Peer, l.PC, other.AddrPort(family, 8080), self.At(family, 2200))
			},
			"TCP to the port permitted for UDP": func() error { return tcp(l.PC, l.Peer, other.At(family, 4000)) },
			"UDP to the port permitted for TCP": func() error { return udp(l.PC, l.Peer, self.At(family, 0), other.At(family, 8080)) },
			"the port after the last":           func() error { return tcp(l.PC, l.Peer, other.At(family, 8082)) },
		} {
			if try() == nil {
				t.Errorf("IPv%d: %s passes", family, name)
			}
		}
		if err := eventually(func() error { return udp(l.Peer, l.PC, other.At(family, 4000), self.At(family, 4700)) }); err != nil {
			t.Errorf("IPv%d: an answer by UDP is cut: %v", family, err)
		}
	}
	if err := eventually(func() error { return tcp(l.PC, l.Peer, l.B.At(6, 8079)) }); err != nil {
		t.Errorf("the first port of several: %v", err)
	}
	check(t, l.fw.Restore(t.Context()))
	compareAll(t, "released", cs, every)
}

// Full mode cuts the collector off too; what is on the endpoint, and its address, stay.
func TestFullMatrix(t *testing.T) {
	l := newLab(t)
	cs := l.matrix()
	for i := range cs {
		cs[i].open = cs[i].open && !strings.HasPrefix(cs[i].name, "collector")
	}
	l.policy.Mode = isolate.Full // with collectors, which count for nothing
	check(t, l.fw.Apply(t.Context(), l.policy))
	l.isolated(t)
	compareAll(t, "full", cs, opens)
	check(t, l.fw.Restore(t.Context()))
	compareAll(t, "released", cs, every)
}

// Permits come and go while isolated, modes change: nothing else passes meanwhile, and
// what stays permitted is never cut.
func TestEditsLeakNothing(t *testing.T) {
	l := newLab(t)
	kept := isolate.Permit{Network: netip.PrefixFrom(l.B.V6, 128), Protocol: isolate.TCP, First: 8080, Last: 8080}
	extra := isolate.Permit{Network: netip.MustParsePrefix("198.51.100.0/24"), Protocol: isolate.UDP, First: 53, Last: 53}
	edits := []isolate.Policy{l.permits(kept, extra), l.permits(kept), l.permits(extra, kept)}
	check(t, l.fw.Apply(t.Context(), edits[0]))
	var floods []*flood
	for _, family := range []int{4, 6} {
		floods = append(floods,
			newFlood(t, l.PC, l.Peer, l.A.At(family, 0), l.B.At(family, 6000)),
			newFlood(t, l.Peer, l.PC, l.B.At(family, 0), l.A.At(family, 6001)))
	}
	home := newFlow(t, l.PC, l.Peer, l.collector.At(4, collectorPort))
	work := newFlow(t, l.PC, l.Peer, l.B.At(6, 8080))
	for i := range 40 {
		p := edits[i%len(edits)]
		check(t, l.fw.Apply(t.Context(), p))
		if o := l.observe(t, &p); !o.Complete {
			t.Fatalf("edit %d: %+v", i, o)
		}
	}
	home.moves(t, "after edits, to the collector,")
	work.moves(t, "after edits, where it is permitted,")
	full := isolate.Policy{Mode: isolate.Full}
	check(t, l.fw.Apply(t.Context(), full))
	if o := l.observe(t, &full); !o.Complete {
		t.Fatalf("full: %+v", o)
	}
	sent := int64(0)
	for _, f := range floods {
		sent += f.sent.Load()
		if n := f.got.Load(); n != 0 {
			t.Errorf("%d datagrams passed", n)
		}
	}
	if sent < 1000 {
		t.Errorf("only %d datagrams were sent; the test shows nothing", sent)
	}
	t.Logf("%d datagrams sent during 41 edits", sent)
}
