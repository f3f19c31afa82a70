//go:build linux

package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

var _ isolate.Watcher = (*Firewall)(nil)

// Watch implements [isolate.Watcher] by the notifications of nf_tables and rtnetlink(7).
func (f *Firewall) Watch(ctx context.Context) (<-chan isolate.Event, error) {
	rules, err := f.subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return nil, f.explain(ctx, "watch rules", err)
	}
	links, err := f.subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK,
		// What carries the way to the collector may be another tunnel now.
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		_ = rules.Close()
		return nil, f.explain(ctx, "watch network devices and routes", err)
	}
	n := newNotes()
	n.add(true) // watching has begun
	out := make(chan isolate.Event)
	ctx, stop := context.WithCancel(ctx)
	read := func(c *netlink.Conn, fn func(context.Context, *netlink.Conn, *notes) error) {
		defer stop() // one that fails ends the other; the caller begins anew
		defer func() { _ = c.Close() }()
		defer until(ctx, c)()
		_ = fn(ctx, c, n) // why it ends is not worth more than that it did
	}
	go read(rules, f.watchRules)
	go read(links, f.watchLinks)
	go func() {
		defer close(out)
		n.deliver(ctx, out)
	}()
	return out, nil
}

// watchBuffer is how many bytes of notifications the kernel keeps for us. "nft flush
// ruleset" on a gateway tells of each of its rules.
const watchBuffer = 1 << 20

func (f *Firewall) subscribe(family int, groups ...uint32) (*netlink.Conn, error) {
	c, err := netlink.Dial(family, &netlink.Config{NetNS: f.cfg.NetNS})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	_ = c.SetReadBuffer(watchBuffer) // with less, more is lost, and said to be
	for _, group := range groups {
		if err := c.JoinGroup(group); err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("join netlink group %d: %w", group, err)
		}
	}
	return c, nil
}

// receive reads one datagram of the kernel into b. Its error wraps unix.ENOBUFS when
// notifications were lost, os.ErrDeadlineExceeded when none came in time.
func receive(c *netlink.Conn, b []byte) ([]byte, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("receive notifications: %w", err)
	}
	for {
		var n int
		var from unix.Sockaddr
		var rerr error
		if err := raw.Read(func(fd uintptr) bool {
			n, from, rerr = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
			return !errors.Is(rerr, unix.EAGAIN) && !errors.Is(rerr, unix.EINTR)
		}); err != nil {
			return nil, fmt.Errorf("receive notifications: %w", err)
		}
		if rerr != nil {
			return nil, fmt.Errorf("receive notifications: %w", rerr)
		}
		if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != 0 {
			continue // another program may write to us; only the kernel is believed
		}
		return b[:min(n, len(b))], nil
	}
}

// notice is the head and body of one notification.
type notice struct {
	typ  uint16
	port uint32 // who caused it; 0 is the kernel
	body []byte
}

// notices calls fn for each message of a datagram (netlink(7)).
func notices(b []byte, fn func(notice) error) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return fmt.Errorf("%d bytes after the last message: %w", len(b), errReply)
		}
		n := binary.NativeEndian.Uint32(b)
		if n < unix.SizeofNlMsghdr || uint64(n) > uint64(len(b)) {
			return fmt.Errorf("message of %d bytes in %d: %w", n, len(b), errReply)
		}
		err := fn(notice{
			typ:  binary.NativeEndian.Uint16(b[4:]),
			port: binary.NativeEndian.Uint32(b[12:]),
			body: b[unix.SizeofNlMsghdr:n],
		})
		if err != nil {
			return err
		}
		b = b[min(uint64(len(b)), (uint64(n)+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return nil
}

// actorWait is how long is waited for the message that says who did it. The kernel
// sends it right after the last of what was done.
const actorWait = 3 * time.Millisecond

// watchRules notes what others do to our tables.
func (f *Firewall) watchRules(ctx context.Context, c *netlink.Conn, n *notes) error {
	b := make([]byte, 64<<10)
	var open, others []counted // seen, and not yet said by whom
	tell := func(by string) {
		said := func(list []counted) (what []string) {
			for _, o := range list {
				what = append(what, o.String()+by)
			}
			return what
		}
		if len(others) > 0 {
			n.addOthers(said(others))
		}
		if len(open) > 0 {
			n.add(true, said(open)...)
		}
		open, others = nil, nil
	}
	waits := func() bool { return len(open)+len(others) > 0 }
	for ctx.Err() == nil {
		if waits() {
			_ = c.SetReadDeadline(time.Now().Add(f.actorWait))
		}
		msg, err := receive(c, b)
		if waits() {
			_ = c.SetReadDeadline(time.Time{})
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && waits():
			tell("")
			continue
		case errors.Is(err, unix.ENOBUFS):
			tell("")
			n.lose()
			continue
		case err != nil:
			return err
		}
		err = notices(msg, func(m notice) error {
			if own := f.port.Load(); own != 0 && m.port == own {
				return nil
			}
			what, by, err := f.parseNotice(m)
			if other := f.parseOthers(m); other != "" {
				others = count(others, other)
			}
			if what != "" {
				open = count(open, what)
			}
			if by != "" {
				tell(by)
			}
			return err
		})
		if err != nil {
			// What is not understood may be about us.
			n.add(true, "a notification that is not understood")
		}
	}
	return ctx.Err()
}

// counted is what was seen n times.
type counted struct {
	what string
	n    int
}

func (c counted) String() string {
	if c.n > 1 {
		return fmt.Sprintf("%s, %d times", c.what, c.n)
	}
	return c.what
}

func count(cs []counted, what string) []counted {
	for i := range cs {
		if cs[i].what == what {
			cs[i].n++
			return cs
		}
	}
	if len(cs) > whatMax {
		return cs // as many as an event tells, and one by which it says that there are more
	}
	return append(cs, counted{what, 1})
}

// What NFT_MSG_NEWGEN says of who ended a transaction (nf_tables.h).
const (
	nftaGenProcPID  = 2
	nftaGenProcName = 3
)

// ruleNotices names the kinds of messages about what is in a table. The first attribute
// of each of them is the table's name.
var ruleNotices = map[uint16]string{
	unix.NFT_MSG_NEWTABLE: "table made or changed", unix.NFT_MSG_DELTABLE: "table deleted",
	unix.NFT_MSG_NEWCHAIN: "chain made or changed", unix.NFT_MSG_DELCHAIN: "chain deleted",
	unix.NFT_MSG_NEWRULE: "rule made", unix.NFT_MSG_DELRULE: "rule deleted",
	unix.NFT_MSG_NEWSET: "set made", unix.NFT_MSG_DELSET: "set deleted",
	unix.NFT_MSG_NEWSETELEM: "set filled", unix.NFT_MSG_DELSETELEM: "set emptied",
	unix.NFT_MSG_NEWOBJ: "object made", unix.NFT_MSG_DELOBJ: "object deleted",
	nftMsgNewFlowtable: "flow table made", nftMsgDelFlowtable: "flow table deleted",
}

const (
	nftMsgNewFlowtable = 22
	nftMsgDelFlowtable = 24
)

// parseNotice says what a notification tells of our tables, or at the end of a
// transaction who made it. Both are empty for what is of no concern.
func (f *Firewall) parseNotice(m notice) (what, by string, err error) {
	if m.typ>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.body) < sizeofNfgenmsg {
		return "", "", nil
	}
	family, kind, attrs := m.body[0], m.typ&0xff, m.body[sizeofNfgenmsg:]
	if kind == unix.NFT_MSG_NEWGEN {
		var pid uint32
		var name string
		err := each(attrs, func(typ uint16, v []byte) error {
			switch typ {
			case nftaGenProcPID:
				return number(v, &pid)
			case nftaGenProcName:
				name = text(v)
			}
			return nil
		})
		return "", fmt.Sprintf(" by %.32q, process %d", name, pid), err
	}
	name, ok := ruleNotices[kind]
	if !ok || family != unix.NFPROTO_INET && family != unix.NFPROTO_NETDEV {
		return "", "", nil
	}
	var owner, chain string
	err = each(attrs, func(typ uint16, v []byte) error {
		switch {
		case typ == 1:
			owner = text(v)
		case typ == unix.NFTA_RULE_CHAIN && (kind == unix.NFT_MSG_NEWRULE || kind == unix.NFT_MSG_DELRULE),
			typ == unix.NFTA_CHAIN_NAME && (kind == unix.NFT_MSG_NEWCHAIN || kind == unix.NFT_MSG_DELCHAIN):
			chain = text(v)
		}
		return nil
	})
	if owner != f.cfg.Table || err != nil {
		return "", "", err
	}
	what = table{family: family, name: owner}.label() + ": " + name
	if chain != "" {
		what += fmt.Sprintf(" (chain %.60q)", chain)
	}
	return what, "", nil
}

// What a message about a chain says of its place in the kernel (nf_tables.h), and the
// policy NF_ACCEPT (netfilter.h).
const (
	nftaHookNum  = 1
	policyAccept = 1
)

// parseOthers says which chain of others that accepts packets a notification tells of:
// one that stands at a hook, filters, and has the policy accept. Empty for anything else.
// Such chains change nothing of ours, and yet somebody may have hoped so.
func (f *Firewall) parseOthers(m notice) string {
	if m.typ != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWCHAIN || len(m.body) < sizeofNfgenmsg {
		return ""
	}
	var owner, chain, typ string
	var hook, policy uint32
	hooked := false
	err := each(m.body[sizeofNfgenmsg:], func(attr uint16, v []byte) error {
		switch attr {
		case unix.NFTA_CHAIN_TABLE:
			owner = text(v)
		case unix.NFTA_CHAIN_NAME:
			chain = text(v)
		case unix.NFTA_CHAIN_TYPE:
			typ = text(v)
		case unix.NFTA_CHAIN_POLICY:
			return number(v, &policy)
		case unix.NFTA_CHAIN_HOOK:
			hooked = true
			return each(v, func(attr uint16, v []byte) error {
				if attr == nftaHookNum {
					return number(v, &hook)
				}
				return nil
			})
		}
		return nil
	})
	if err != nil || !hooked || typ != "filter" || policy != policyAccept || owner == f.cfg.Table {
		return ""
	}
	return fmt.Sprintf("table %s %.60q: chain %.60q with policy accept at the hook %s", familyNames[m.body[0]], owner, chain, hookName(m.body[0], hook))
}

// familyNames are the families of tables as nft(8) calls them.
var familyNames = map[uint8]string{
	unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6",
	unix.NFPROTO_ARP: "arp", unix.NFPROTO_BRIDGE: "bridge", unix.NFPROTO_NETDEV: "netdev",
}

// hookName is a hook as nft(8) calls it (netfilter.h, netfilter_arp.h).
func hookName(family uint8, hook uint32) string {
	names := []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	switch family {
	case unix.NFPROTO_NETDEV:
		names = []string{"ingress", "egress"}
	case unix.NFPROTO_ARP:
		names = []string{"input", "output", "forward"}
	}
	if int64(hook) < int64(len(names)) {
		return names[hook]
	}
	return fmt.Sprintf("number %d", hook)
}

// routeNotices are those after which packets may take another way.
var routeNotices = map[uint16]string{
	unix.RTM_NEWROUTE: "route made", unix.RTM_DELROUTE: "route deleted",
	unix.RTM_NEWRULE: "routing rule made", unix.RTM_DELRULE: "routing rule deleted",
}

// watchLinks notes network devices that appear or get another name, and routes that
// change.
func (f *Firewall) watchLinks(ctx context.Context, c *netlink.Conn, n *notes) error {
	b := make([]byte, 64<<10)
	known := map[int32]string{}
	// Those that are there already come as notifications that nobody needs; the first
	// event has the caller look anyway.
	for ctx.Err() == nil {
		msg, err := receive(c, b)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			clear(known)
			n.lose()
			continue
		case err != nil:
			return err
		}
		err = notices(msg, func(m notice) error {
			if what, ok := routeNotices[m.typ]; ok {
				n.add(false, what)
				return nil
			}
			if m.typ != unix.RTM_NEWLINK && m.typ != unix.RTM_DELLINK {
				return nil
			}
			d, err := parseDevice(m.body)
			if err != nil || d.loopback || m.body[0] == unix.AF_BRIDGE {
				return err // a port of a bridge, not a device
			}
			switch {
			case m.typ == unix.RTM_DELLINK:
				delete(known, d.index)
				if f.left(d) {
					n.add(false, fmt.Sprintf("network device %.20q was moved to another network namespace", d.name))
				}
			case known[d.index] != d.name:
				known[d.index] = d.name
				n.add(false, fmt.Sprintf("network device %.20q is there", d.name))
			}
			return nil
		})
		if err != nil {
			n.add(false, "a notification that is not understood")
		}
	}
	return ctx.Err()
}
