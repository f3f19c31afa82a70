//go:build linux

package nft

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	link "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"hozen/internal/netlab"
)

// guest puts a third host into the PC, in one of the ways in which containers and
// virtual machines are.
type guest struct {
	name string
	join func(t *testing.T, l *lab) *netlab.Host
	// A plain inet table does not see what it sends.
	leaks bool
}

var guests = []guest{
	{"routed container", routedGuest, false},
	{"bridged container", bridgedGuest, true},
	{"macvlan container", macvlanGuest, true},
}

func routedGuest(t *testing.T, l *lab) *netlab.Host {
	far, second := behind(t, l, l.PC)
	for _, err := range []error{
		far.AddRoute(l.V4, second.A.V4), far.AddRoute(l.V6, second.A.V6),
		l.Peer.AddRoute(second.V4, l.A.V4), l.Peer.AddRoute(second.V6, l.A.V6),
	} {
		check(t, err)
	}
	return far
}

func (l *lab) inCable(t *testing.T, h *netlab.Host, device string) {
	t.Helper()
	mine := l.Host(9)
	check(t, h.AddAddr(device, netip.PrefixFrom(mine.V4, 24)))
	check(t, h.AddAddr(device, netip.PrefixFrom(mine.V6, 64)))
}

func bridgedGuest(t *testing.T, l *lab) *netlab.Host {
	h, err := l.AddHost()
	check(t, err)
	second, err := l.Join(l.PC, h)
	check(t, err)
	if err := l.PC.AddBridge("br0", l.NameA, second.NameA); err != nil {
		t.Skip("needs a kernel with bridges: ", err)
	}
	// Where br_netfilter is there, as Docker has it, the inet hooks see bridged frames.
	for _, name := range []string{"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"} {
		if err := l.PC.Sysctl(name, "0"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	l.inCable(t, h, second.NameB)
	return h
}

func macvlanGuest(t *testing.T, l *lab) *netlab.Host {
	h, err := l.AddHost()
	check(t, err)
	n, err := link.NewHandleAt(netns.NsHandle(l.PC.FD()), unix.NETLINK_ROUTE)
	check(t, err)
	defer n.Close()
	d := &link.Macvlan{LinkAttrs: link.LinkAttrs{
		Name: "mac0", ParentIndex: mustLink(t, n, l.NameA).Attrs().Index, Namespace: link.NsFd(h.FD()),
	}, Mode: link.MACVLAN_MODE_BRIDGE}
	if err := n.LinkAdd(d); err != nil {
		t.Skip("needs a kernel with macvlan: ", err)
	}
	in, err := link.NewHandleAt(netns.NsHandle(h.FD()), unix.NETLINK_ROUTE)
	check(t, err)
	defer in.Close()
	l.inCable(t, h, "mac0")
	check(t, in.LinkSetUp(mustLink(t, in, "mac0")))
	return h
}

// Every cell through our rules, and beside them through the inet table alone, which is
// what a firewall's manual has: it cuts neither what is written straight to a device nor
// what guests send past the host's own stack.
func TestCellsBesideAPlainTable(t *testing.T) {
	type place struct {
		name  string
		cells func(t *testing.T, l *lab) []cell
		leaks func(cell) bool // through the inet table alone
	}
	places := []place{{"the PC", func(_ *testing.T, l *lab) []cell { return l.matrix() }, orIsRaw}}
	for _, g := range guests {
		leaks := opens
		if g.leaks {
			leaks = every
		}
		places = append(places, place{g.name, func(t *testing.T, l *lab) (cs []cell) {
			h := g.join(t, l)
			l.policy.Mark = 0x485a // as an agent has it
			for _, family := range []int{4, 6} {
				cs = append(cs,
					cell{fmt.Sprintf("TCP out IPv%d", family), func() error { return tcp(h, l.Peer, l.B.At(family, 8080)) }, false},
					cell{fmt.Sprintf("UDP out IPv%d", family), func() error {
						return udp(h, l.Peer, map[int]string{4: "0.0.0.0:0", 6: "[::]:0"}[family], l.B.At(family, 4000))
					}, false},
					cell{fmt.Sprintf("ping out IPv%d", family), func() error { return ping(h, l.B.AddrPort(family, 0).Addr()) }, false},
					cell{fmt.Sprintf("the collector, but not from the PC IPv%d", family), func() error { return tcp(h, l.Peer, l.collector.At(family, collectorPort)) }, false})
			}
			return cs
		}, leaks})
	}
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			cs := p.cells(t, l)
			compareAll(t, "before", cs, every)
			l.fw.remember(features{})
			check(t, l.fw.Apply(t.Context(), l.policy))
			l.isolated(t)
			plain := all(cs, p.leaks)
			check(t, l.fw.Restore(t.Context()))
			l.fw.features = nil // all that this kernel can do
			check(t, l.fw.Apply(t.Context(), l.policy))
			l.isolated(t)
			ours := all(cs, opens)
			check(t, l.fw.Restore(t.Context()))
			compareAll(t, "released", cs, every)
			word := func(err error) string {
				if err == nil {
					return "passes"
				}
				return "cut"
			}
			var out strings.Builder
			for i, c := range cs {
				fmt.Fprintf(&out, "%-48s ours: %-8s plain inet table: %s\n", c.name, word(ours[i]), word(plain[i]))
				if (ours[i] == nil) != c.open {
					t.Errorf("%s: ours: %s", c.name, word(ours[i]))
				}
				if (plain[i] == nil) != p.leaks(c) {
					t.Errorf("%s: plain inet table: %s", c.name, word(plain[i]))
				}
			}
			t.Logf("%s\n%s", p.name, out.String())
		})
	}
}
