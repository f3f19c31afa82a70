//go:build linux

package nft

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// message is one nf_tables message: struct nfgenmsg and attributes.
func message(typ uint16, flags netlink.HeaderFlags, family byte, attrs []byte) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | typ),
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attrs...),
	}
}

// create makes a table with all that is in it.
func create(t table) []netlink.Message {
	b := attr(nil, unix.NFTA_TABLE_NAME, str(t.name))
	msgs := []netlink.Message{message(unix.NFT_MSG_NEWTABLE, netlink.Create, t.family, attr(b, unix.NFTA_TABLE_FLAGS, be32(t.flags)))}
	for _, c := range t.chains {
		msgs = append(msgs, message(unix.NFT_MSG_NEWCHAIN, netlink.Create, t.family, chainAttrs(t.name, c)))
	}
	for _, c := range t.chains {
		for _, r := range c.rules {
			msgs = append(msgs, message(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, t.family, ruleAttrs(t.name, c.name, r)))
		}
	}
	return msgs
}

// replace makes the tables instead of those that have their names now. Making, deleting
// and making again is no error whether or not there was one, and in one transaction
// there is no moment without.
func replace(name string, ts []table) []netlink.Message {
	var msgs []netlink.Message
	for _, t := range ts {
		b := attr(nil, unix.NFTA_TABLE_NAME, str(name))
		msgs = append(msgs,
			message(unix.NFT_MSG_NEWTABLE, netlink.Create, t.family, b),
			message(unix.NFT_MSG_DELTABLE, 0, t.family, b))
		msgs = append(msgs, create(t)...)
	}
	return msgs
}

func chainAttrs(table string, c chain) []byte {
	b := attr(nil, unix.NFTA_CHAIN_TABLE, str(table))
	b = attr(b, unix.NFTA_CHAIN_NAME, str(c.name))
	if h := c.hook; h != nil {
		hb := attr(nil, unix.NFTA_HOOK_HOOKNUM, be32(h.num))
		hb = attr(hb, unix.NFTA_HOOK_PRIORITY, be32(uint32(h.priority)))
		for _, d := range h.devices { // one at most here; more need Linux 5.5
			hb = attr(hb, unix.NFTA_HOOK_DEV, str(d))
		}
		b = nest(b, unix.NFTA_CHAIN_HOOK, hb)
		b = attr(b, unix.NFTA_CHAIN_POLICY, be32(h.policy))
		b = attr(b, unix.NFTA_CHAIN_TYPE, str("filter"))
	}
	return b
}

func ruleAttrs(table, chain string, r rule) []byte {
	b := attr(nil, unix.NFTA_RULE_TABLE, str(table))
	b = attr(b, unix.NFTA_RULE_CHAIN, str(chain))
	var es []byte
	for _, e := range r.exprs {
		eb := attr(nil, unix.NFTA_EXPR_NAME, str(e.name))
		es = nest(es, unix.NFTA_LIST_ELEM, nest(eb, unix.NFTA_EXPR_DATA, e.attrs))
	}
	b = nest(b, unix.NFTA_RULE_EXPRESSIONS, es)
	return attr(b, unix.NFTA_RULE_USERDATA, userData(r.comment))
}

// userData is a rule's comment as nft(8) shows it: a type, a length and a string
// (libnftnl, NFTNL_UDATA_RULE_COMMENT). Both are one byte long.
func userData(comment string) []byte {
	s := str(comment[:min(len(comment), 127)])
	return append([]byte{udataComment, byte(len(s))}, s...)
}

const udataComment = 0

// dial opens netlink for one exchange that ends with ctx.
func (f *Firewall) dial(ctx context.Context, family int) (c *netlink.Conn, end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	c, err = netlink.Dial(family, &netlink.Config{NetNS: f.cfg.NetNS})
	if err != nil {
		return nil, nil, fmt.Errorf("open netlink: %w", err)
	}
	// Says in words what the kernel refuses; older kernels do without.
	_ = c.SetOption(netlink.ExtendedAcknowledge, true)
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return c, func() { stop(); _ = c.Close() }, nil
}

// commit carries out a transaction: all of it or nothing.
func (f *Firewall) commit(ctx context.Context, msgs []netlink.Message) error {
	return f.send(ctx, msgs, true)
}

// send sends a transaction. Without its end the kernel checks it and takes it back.
func (f *Firewall) send(ctx context.Context, msgs []netlink.Message, end bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.changing.Lock()
	defer f.changing.Unlock()
	c, err := f.changer()
	if err != nil {
		return err
	}
	if err := drain(c); err != nil {
		return err
	}
	defer until(ctx, c)()
	edge := func(typ netlink.HeaderType) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: typ, Flags: netlink.Request},
			Data:   append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, be16(unix.NFNL_SUBSYS_NFTABLES)...),
		}
	}
	all := append([]netlink.Message{edge(unix.NFNL_MSG_BATCH_BEGIN)}, msgs...)
	// One answer is enough: the kernel answers after the whole transaction, errors
	// first, and an error of any message is an answer too.
	all[len(all)-1].Header.Flags |= netlink.Acknowledge
	if end {
		all = append(all, edge(unix.NFNL_MSG_BATCH_END))
	}
	size := 0
	for _, m := range all {
		size += unix.SizeofNlMsghdr + len(m.Data) + unix.NLA_ALIGNTO
	}
	// A transaction is one datagram. If the buffer cannot grow, sending says so.
	_ = c.SetWriteBuffer(2*size + 64<<10)
	if _, err := c.SendMessages(all); err != nil {
		return fmt.Errorf("send %d bytes to nf_tables: %w", size, ctxError(ctx, err))
	}
	if _, err := c.Receive(); err != nil {
		return fmt.Errorf("change nf_tables: %w", ctxError(ctx, err))
	}
	return nil
}

// ctxError prefers the reason for which a deadline was set.
func ctxError(ctx context.Context, err error) error {
	if cerr := ctx.Err(); cerr != nil {
		return errors.Join(cerr, err)
	}
	return err
}
