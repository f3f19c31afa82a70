//go:build linux

package nft

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// gap fails the test unless an observation has a gap that says what.
func gap(t *testing.T, o isolate.Observation, what string) {
	t.Helper()
	if o.Complete || !strings.Contains(strings.Join(o.Gaps, "; "), what) {
		t.Errorf("complete %v, gaps %q; want one that says %q", o.Complete, o.Gaps, what)
	}
}

// Whatever somebody with root does to our tables is seen, and Apply undoes it.
func TestTamperingIsSeen(t *testing.T) {
	l := newLab(t)
	l.fw.remember(plain) // nobody can do it to a table that is held
	name := l.fw.cfg.Table
	del := func(family byte) []netlink.Message {
		return []netlink.Message{message(unix.NFT_MSG_DELTABLE, 0, family, attr(nil, unix.NFTA_TABLE_NAME, str(name)))}
	}
	accepts := rule{"drop", []expr{counter(), verdict(accept)}}
	insert := func(family byte, chain string) []netlink.Message {
		return []netlink.Message{message(unix.NFT_MSG_NEWRULE, netlink.Create, family, ruleAttrs(name, chain, accepts))}
	}
	dormant := message(unix.NFT_MSG_NEWTABLE, 0, unix.NFPROTO_INET,
		attr(attr(nil, unix.NFTA_TABLE_NAME, str(name)), unix.NFTA_TABLE_FLAGS, be32(unix.NFT_TABLE_F_DORMANT)))
	flushed := func(chain string) netlink.Message {
		return message(unix.NFT_MSG_DELRULE, 0, unix.NFPROTO_INET,
			attr(attr(nil, unix.NFTA_RULE_TABLE, str(name)), unix.NFTA_RULE_CHAIN, str(chain)))
	}
	policy := func(c string) netlink.Message {
		b := attr(attr(nil, unix.NFTA_CHAIN_TABLE, str(name)), unix.NFTA_CHAIN_NAME, str(c))
		return message(unix.NFT_MSG_NEWCHAIN, 0, unix.NFPROTO_INET, attr(b, unix.NFTA_CHAIN_POLICY, be32(accept)))
	}
	delChain := message(unix.NFT_MSG_DELCHAIN, 0, unix.NFPROTO_NETDEV,
		attr(attr(nil, unix.NFTA_CHAIN_TABLE, str(name)), unix.NFTA_CHAIN_NAME, str(egressName(l.NameA))))
	more := message(unix.NFT_MSG_NEWCHAIN, netlink.Create, unix.NFPROTO_INET, chainAttrs(name, chain{name: "mine"}))
	for _, tt := range []struct {
		name string
		do   []netlink.Message
		says string
	}{
		{"flush ruleset", append(del(unix.NFPROTO_INET), del(unix.NFPROTO_NETDEV)...), "table inet hozen is missing"},
		{"inet table deleted", del(unix.NFPROTO_INET), "table inet hozen is missing"},
		{"netdev table deleted", del(unix.NFPROTO_NETDEV), "table netdev hozen is missing"},
		{"accept before all rules, out", insert(unix.NFPROTO_INET, "out"), `chain "out": rule 1 is not`},
		{"accept before all rules, forward", insert(unix.NFPROTO_INET, "forward"), `chain "forward": rule 1 is not`},
		{"accept at the device", insert(unix.NFPROTO_NETDEV, egressName(l.NameA)), "rule 1 is not"},
		{"accept among the permits", insert(unix.NFPROTO_NETDEV, permitOut), "rule 1 is not"},
		{"rules flushed", []netlink.Message{flushed("in")}, `chain "in": rule 1 (loopback) is missing`},
		{"dormant", []netlink.Message{dormant}, "flags are 0x1"},
		{"policy accept", []netlink.Message{policy("in")}, "hook is"},
		{"device chain deleted", []netlink.Message{delChain}, "is missing"},
		{"chain added", []netlink.Message{more}, `chain "mine" is not ours`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			check(t, l.fw.Apply(t.Context(), l.policy))
			l.isolated(t)
			check(t, l.stranger(t).commit(t.Context(), tt.do))
			o := l.observe(t, &l.policy)
			gap(t, o, tt.says)
			if o.Digest == o.Expected {
				t.Error("digests are the same")
			}
			check(t, l.fw.Apply(t.Context(), l.policy))
			l.isolated(t)
			check(t, l.fw.Restore(t.Context()))
			if o := l.observe(t, nil); o.Present || !o.Complete {
				t.Errorf("after restore: %+v", o)
			}
		})
	}
}

// Another program's table that accepts everything before ours is asked opens nothing,
// and Restore leaves it as it was.
func TestOthersTables(t *testing.T) {
	l := newLab(t)
	yes := []rule{{"yes", []expr{verdict(accept)}}}
	open := func(family byte, chains ...chain) table {
		for i := range chains {
			chains[i].rules = yes
			chains[i].hook.policy = accept
		}
		return table{family: family, name: "others", chains: chains}
	}
	for _, priority := range []int32{-1000, 500} {
		at := func(name string, num uint32, devices ...string) chain {
			c := base(name, num, priority, nil)
			c.hook.devices = devices
			return c
		}
		others := replace("others", []table{
			open(unix.NFPROTO_INET, at("i", unix.NF_INET_LOCAL_IN), at("o", unix.NF_INET_LOCAL_OUT), at("f", unix.NF_INET_FORWARD)),
			open(unix.NFPROTO_NETDEV, at("i", unix.NF_NETDEV_INGRESS, l.NameA), at("o", unix.NF_NETDEV_EGRESS, l.NameA)),
		})
		check(t, l.fw.commit(t.Context(), others))
		before := dump(t, l.fw)
		if !strings.Contains(before, "others") {
			t.Fatal("there is no other table; the test shows nothing")
		}
		check(t, l.fw.Apply(t.Context(), l.policy))
		l.isolated(t)
		compareAll(t, fmt.Sprintf("others accept at %d", priority), l.matrix(), opens)
		check(t, l.fw.Restore(t.Context()))
		if after := dump(t, l.fw); after != before {
			t.Errorf("other tables changed from\n%q\nto\n%q", before, after)
		}
	}
}

// dump returns every byte that the kernel says of any table, chain and rule.
func dump(t *testing.T, f *Firewall) string {
	t.Helper()
	var b bytes.Buffer
	for _, typ := range []uint16{unix.NFT_MSG_GETTABLE, unix.NFT_MSG_GETCHAIN, unix.NFT_MSG_GETRULE} {
		msgs, err := f.ask(t.Context(), message(typ, netlink.Dump, unix.AF_UNSPEC, nil))
		check(t, err)
		for _, m := range msgs {
			b.WriteByte(m.Data[0]) // family; the next bytes are the generation
			b.Write(body(m))
		}
	}
	return b.String()
}

// A transaction that fails in its last message changes nothing.
func TestFailedTransactionChangesNothing(t *testing.T) {
	l := newLab(t)
	check(t, l.fw.Apply(t.Context(), l.policy))
	name := l.fw.cfg.Table
	msgs := replace(name, plan(name, isolate.Policy{}.Clean(), everything, []string{l.NameA}))
	msgs = append(msgs, message(unix.NFT_MSG_NEWRULE, netlink.Create, unix.NFPROTO_INET, ruleAttrs(name, "nosuch", rule{})))
	if err := l.fw.commit(t.Context(), msgs); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v, want ENOENT", err)
	}
	l.isolated(t)
	// Without its end a transaction changes nothing either.
	if err := l.fw.send(t.Context(), msgs[:len(msgs)-1], false); err != nil {
		t.Error(err)
	}
	l.isolated(t)
}

// A device that is gone by the time the kernel reads the transaction: up to Linux 6.15
// the whole is refused and the earlier rules stay, since 6.16 the chain waits for the
// device.
func TestMissingDevice(t *testing.T) {
	l := newLab(t)
	check(t, l.fw.Apply(t.Context(), l.policy))
	other := isolate.Policy{}.Clean()
	err := l.fw.commit(t.Context(), replace(l.fw.cfg.Table, plan(l.fw.cfg.Table, other, everything, []string{l.NameA, "nosuch0"})))
	switch {
	case errors.Is(err, unix.ENOENT):
		l.isolated(t)
	case err == nil:
		if o := l.observe(t, &other); !o.Complete || len(o.Links) != 1 {
			t.Errorf("complete %v, links %v, gaps %q", o.Complete, o.Links, o.Gaps)
		}
	default:
		t.Error(err)
	}
}

func TestLinksComeAndGo(t *testing.T) {
	l := newLab(t)
	check(t, l.fw.Apply(t.Context(), l.policy))
	l.isolated(t)
	second, err := l.Join(l.PC, l.Peer)
	check(t, err)
	o := l.observe(t, &l.policy)
	gap(t, o, second.NameA)
	for _, link := range o.Links {
		if covered := link.Ingress && link.Egress; covered != (link.Name == l.NameA) {
			t.Errorf("link %+v", link)
		}
	}
	// Even before the device is covered, nothing that a program sends in the usual way
	// passes it: the inet table knows no devices.
	if tcp(l.PC, l.Peer, second.B.At(4, 8080)) == nil || tcp(l.Peer, l.PC, second.A.At(6, 8080)) == nil {
		t.Error("a new device is a way out")
	}
	check(t, l.fw.Apply(t.Context(), l.policy))
	l.isolated(t)
	check(t, second.Cut())
	l.isolated(t) // what is no more needs no cover
}

// Devices that come and go while rules are applied make it neither fail nor lie.
func TestDevicesFlap(t *testing.T) {
	l := newLab(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Join(l.PC, l.Peer)
			if err == nil {
				err = c.Cut()
			}
			if err != nil {
				t.Error(err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	complete := 0
	for range 30 {
		if err := l.fw.Apply(t.Context(), l.policy); err != nil {
			t.Error(err)
		}
		o, err := l.fw.Observe(t.Context(), &l.policy)
		if errors.Is(err, errChanging) {
			continue // said so, did not guess
		}
		check(t, err)
		if !o.Present || len(o.Tables) != 2 {
			t.Errorf("not closed: %+v", o)
		}
		if o.Complete {
			complete++
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("complete in %d of 30 looks", complete)
	check(t, l.fw.Apply(t.Context(), l.policy))
	l.isolated(t)
}

func TestNeedsRoot(t *testing.T) {
	l := newLab(t)
	check(t, l.fw.Apply(t.Context(), l.policy))
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
		f := New(Config{})
		if err := f.Apply(t.Context(), l.policy); !errors.Is(err, isolate.ErrNeedsRoot) {
			t.Errorf("apply: got %v, want ErrNeedsRoot", err)
		}
		if _, err := f.Observe(t.Context(), nil); !errors.Is(err, isolate.ErrNeedsRoot) {
			t.Errorf("observe: got %v, want ErrNeedsRoot", err)
		}
		if err := f.Restore(t.Context()); !errors.Is(err, isolate.ErrNeedsRoot) {
			t.Errorf("restore: got %v, want ErrNeedsRoot", err)
		}
	}()
	<-done
	l.isolated(t)
}

// A table that another program owns is not taken for a lack of rights, and what can be
// closed in spite of it is.
func TestOwnedTable(t *testing.T) {
	for _, family := range families {
		l := newLab(t)
		const owner = 2 // NFT_TABLE_F_OWNER
		c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: l.PC.FD()})
		check(t, err)
		defer c.Close()
		begin := netlink.Message{Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: netlink.Request}, Data: append([]byte{0, 0}, be16(unix.NFNL_SUBSYS_NFTABLES)...)}
		end := begin
		end.Header.Type = unix.NFNL_MSG_BATCH_END
		own := create(table{family: family, name: l.fw.cfg.Table, flags: owner})[0]
		own.Header.Flags |= netlink.Acknowledge
		_, err = c.SendMessages([]netlink.Message{begin, own, end})
		check(t, err)
		if _, err := c.Receive(); err != nil {
			t.Skip("needs a kernel with owned tables: ", err)
		}
		if err := eventually(func() error { return tcp(l.PC, l.Peer, l.B.At(4, 8080)) }); err != nil {
			t.Fatal(err)
		}
		err = l.fw.Apply(t.Context(), l.policy)
		if err == nil || errors.Is(err, isolate.ErrNeedsRoot) || !errors.Is(err, unix.EPERM) {
			t.Errorf("got %v, want EPERM that is no lack of rights", err)
		}
		gap(t, l.observe(t, &l.policy), "flags are 0x2")
		if cut := tcp(l.PC, l.Peer, l.B.At(4, 8080)) != nil; cut != (family == unix.NFPROTO_NETDEV) {
			t.Errorf("family %d: cut %v", family, cut)
		}
	}
}

// Thirty devices: one transaction, and the rules stand once.
func TestManyDevices(t *testing.T) {
	l := newLab(t)
	for range 30 {
		_, err := l.Join(l.PC, l.Peer)
		check(t, err)
	}
	check(t, l.fw.Apply(t.Context(), l.policy))
	o := l.observe(t, &l.policy)
	if !o.Complete || len(o.Links) != 31 {
		t.Errorf("complete %v, %d links, gaps %q", o.Complete, len(o.Links), o.Gaps)
	}
}

func BenchmarkApply(b *testing.B) {
	p := newLab(b)
	for b.Loop() {
		if err := p.fw.Apply(b.Context(), p.policy); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	p := newLab(b)
	if err := p.fw.Apply(b.Context(), p.policy); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if o, err := p.fw.Observe(b.Context(), &p.policy); err != nil || !o.Complete {
			b.Fatal(o, err)
		}
	}
}
