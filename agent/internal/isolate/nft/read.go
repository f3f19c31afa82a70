//go:build linux

package nft

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// errReply means that the kernel's answer does not have the form that we know.
var errReply = errors.New("kernel's answer is not understood")

// errChanging means that the rules changed whenever they were read.
var errChanging = errors.New("rules change faster than they can be read")

// read reads back our tables with all that is in them. It reads again when somebody
// changed any rule meanwhile, so that what it returns was in force at one moment.
func (f *Firewall) read(ctx context.Context) ([]table, error) {
	for range 5 {
		before, err := f.generation(ctx)
		if err != nil {
			return nil, err
		}
		var found []table
		for _, family := range families {
			t, err := f.readTable(ctx, family)
			if err != nil {
				return nil, err
			}
			if t == nil {
				continue
			}
			if err := f.readInto(ctx, t); err != nil {
				return nil, err
			}
			found = append(found, *t)
		}
		after, err := f.generation(ctx)
		if err != nil {
			return nil, err
		}
		if before == after {
			return found, nil
		}
	}
	return nil, errChanging
}

// generation is the number that the kernel counts up with every change of any rule.
func (f *Firewall) generation(ctx context.Context) (id uint32, err error) {
	msgs, err := f.ask(ctx, message(unix.NFT_MSG_GETGEN, 0, unix.AF_UNSPEC, nil))
	if err != nil {
		return 0, err
	}
	for _, m := range msgs {
		err = errors.Join(err, each(body(m), func(typ uint16, v []byte) error {
			if typ == unix.NFTA_GEN_ID {
				return number(v, &id)
			}
			return nil
		}))
	}
	return id, err
}

// readTable reads our table of a family, without what is in it; nil if there is none.
func (f *Firewall) readTable(ctx context.Context, family byte) (*table, error) {
	msgs, err := f.ask(ctx, message(unix.NFT_MSG_GETTABLE, 0, family, attr(nil, unix.NFTA_TABLE_NAME, str(f.cfg.Table))))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(msgs) != 1 {
		return nil, fmt.Errorf("%d tables instead of one: %w", len(msgs), errReply)
	}
	t, err := parseTable(family, body(msgs[0]))
	return &t, err
}

func (f *Firewall) readInto(ctx context.Context, t *table) error {
	filter := attr(nil, unix.NFTA_RULE_TABLE, str(t.name))
	chains, err := f.ask(ctx, message(unix.NFT_MSG_GETCHAIN, netlink.Dump, t.family, nil))
	if err != nil {
		return err
	}
	rules, err := f.ask(ctx, message(unix.NFT_MSG_GETRULE, netlink.Dump, t.family, filter))
	if err != nil {
		return err
	}
	return t.fill(bodies(chains), bodies(rules))
}

// fill puts the chains and rules of a dump into the table. Older kernels list those of
// other tables too.
func (t *table) fill(chains, rules [][]byte) error {
	place := map[string]int{}
	for _, b := range chains {
		owner, c, err := parseChain(b)
		if err != nil {
			return err
		}
		if owner == t.name {
			place[c.name] = len(t.chains)
			t.chains = append(t.chains, c)
		}
	}
	for _, b := range rules {
		owner, name, r, err := parseRule(b)
		if err != nil {
			return err
		}
		if owner != t.name {
			continue
		}
		i, ok := place[name]
		if !ok {
			return fmt.Errorf("rule of an unknown chain %.60q: %w", name, errReply)
		}
		t.chains[i].rules = append(t.chains[i].rules, r)
	}
	return nil
}

func (f *Firewall) ask(ctx context.Context, m netlink.Message) ([]netlink.Message, error) {
	c, end, err := f.dial(ctx, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	defer end()
	msgs, err := c.Execute(m)
	if err != nil {
		return nil, fmt.Errorf("read nf_tables: %w", ctxError(ctx, err))
	}
	return msgs, nil
}

const sizeofNfgenmsg = 4

func body(m netlink.Message) []byte { return m.Data[min(sizeofNfgenmsg, len(m.Data)):] }

func bodies(ms []netlink.Message) [][]byte {
	bs := make([][]byte, len(ms))
	for i, m := range ms {
		bs[i] = body(m)
	}
	return bs
}

// each calls fn for every attribute, with the flags taken off its type.
func each(b []byte, fn func(typ uint16, v []byte) error) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlAttr {
			return fmt.Errorf("%d bytes after the last attribute: %w", len(b), errReply)
		}
		n, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if n < unix.SizeofNlAttr || n > len(b) {
			return fmt.Errorf("attribute of %d bytes in %d: %w", n, len(b), errReply)
		}
		if err := fn(typ&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofNlAttr:n]); err != nil {
			return err
		}
		b = b[min(len(b), (n+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1)):]
	}
	return nil
}

// number reads a 32-bit number in network order, as nf_tables sends them.
func number(v []byte, to *uint32) error {
	if len(v) != 4 {
		return fmt.Errorf("number of %d bytes: %w", len(v), errReply)
	}
	*to = binary.BigEndian.Uint32(v)
	return nil
}

func text(v []byte) string { return string(bytes.TrimRight(v, "\x00")) }

func parseTable(family byte, b []byte) (table, error) {
	t := table{family: family}
	err := each(b, func(typ uint16, v []byte) error {
		switch typ {
		case unix.NFTA_TABLE_NAME:
			t.name = text(v)
		case unix.NFTA_TABLE_FLAGS:
			return number(v, &t.flags)
		case nftaTableOwner:
			return number(v, &t.owner)
		}
		return nil
	})
	return t, err
}

// Attributes that x/sys does not name (nf_tables.h).
const (
	nftaChainFlags  = 10
	nftaHookDevs    = 4
	nftaDeviceName  = 1
	chainFlagIsBase = 1
)

func parseChain(b []byte) (owner string, c chain, err error) {
	var h hook
	based := false
	err = each(b, func(typ uint16, v []byte) error {
		switch typ {
		case unix.NFTA_CHAIN_TABLE:
			owner = text(v)
		case unix.NFTA_CHAIN_NAME:
			c.name = text(v)
		case unix.NFTA_CHAIN_POLICY:
			return number(v, &h.policy)
		case unix.NFTA_CHAIN_TYPE:
			h.kind = text(v)
		case nftaChainFlags:
			err := number(v, &h.flags)
			h.flags &^= chainFlagIsBase // older kernels do not say it
			return err
		case unix.NFTA_CHAIN_HOOK:
			based = true
			return h.parse(v)
		}
		return nil
	})
	if based {
		c.hook = &h
	}
	return owner, c, err
}

func (h *hook) parse(b []byte) error {
	var single []string
	err := each(b, func(typ uint16, v []byte) error {
		switch typ {
		case unix.NFTA_HOOK_HOOKNUM:
			return number(v, &h.num)
		case unix.NFTA_HOOK_PRIORITY:
			var n uint32
			err := number(v, &n)
			h.priority = int32(n)
			return err
		case unix.NFTA_HOOK_DEV:
			single = append(single, text(v))
		case nftaHookDevs:
			return each(v, func(typ uint16, v []byte) error {
				if typ != nftaDeviceName {
					// A pattern of device names, which we never ask for.
					h.devices = append(h.devices, fmt.Sprintf("pattern %q", text(v)))
					return nil
				}
				h.devices = append(h.devices, text(v))
				return nil
			})
		}
		return nil
	})
	if len(h.devices) == 0 {
		h.devices = single
	}
	return err
}

func parseRule(b []byte) (owner, chain string, r rule, err error) {
	err = each(b, func(typ uint16, v []byte) error {
		switch typ {
		case unix.NFTA_RULE_TABLE:
			owner = text(v)
		case unix.NFTA_RULE_CHAIN:
			chain = text(v)
		case unix.NFTA_RULE_USERDATA:
			r.comment = parseComment(v)
		case unix.NFTA_RULE_EXPRESSIONS:
			return each(v, func(_ uint16, v []byte) error {
				e, err := parseExpr(v)
				r.exprs = append(r.exprs, e)
				return err
			})
		}
		return nil
	})
	return owner, chain, r, err
}

func parseExpr(b []byte) (e expr, err error) {
	err = each(b, func(typ uint16, v []byte) error {
		switch typ {
		case unix.NFTA_EXPR_NAME:
			e.name = text(v)
		case unix.NFTA_EXPR_DATA:
			e.attrs = v
		}
		return nil
	})
	return e, err
}

// parseComment finds the comment in a rule's user data, which anybody may have written.
func parseComment(b []byte) string {
	for len(b) >= 2 && len(b) >= 2+int(b[1]) {
		if b[0] == udataComment {
			return text(b[2 : 2+int(b[1])])
		}
		b = b[2+int(b[1]):]
	}
	return ""
}
