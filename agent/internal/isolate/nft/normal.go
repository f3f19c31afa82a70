//go:build linux

package nft

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"hozen/agent/internal/sorted"
)

// The normal form is a text that is the same for what was asked for and for what the
// kernel says of it, and different for anything else. Every attribute is in it by
// number and value, known or not, so that nothing in a rule is overlooked.

// sum is the digest of tables in their normal form, empty without tables.
func sum(ts []table) string {
	if len(ts) == 0 {
		return ""
	}
	h := sha256.New()
	var b []byte
	for _, t := range ts {
		b = fmt.Appendf(b[:0], "%s flags %#x\n", t.label(), t.effective())
		cs := slices.Clone(t.chains)
		sorted.Func(cs, func(a, b chain) int { return cmp.Compare(a.name, b.name) })
		for _, c := range cs {
			b = c.append(b)
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (c chain) equal(d chain) bool { return bytes.Equal(c.append(nil), d.append(nil)) }

// append appends the chain's name and hook and its rules, one a line.
func (c chain) append(b []byte) []byte {
	b = strconv.AppendQuote(append(b, "chain "...), c.name)
	b = append(append(b, " hook "...), c.hook.normal()...)
	for _, r := range c.rules {
		b = r.append(append(b, '\n'))
	}
	return append(b, '\n')
}

func (h *hook) normal() string {
	if h == nil {
		return "none"
	}
	return fmt.Sprintf("%d priority %d policy %d type %q flags %#x devices %q",
		h.num, h.priority, h.policy, h.kind, h.flags, h.devices)
}

func (r rule) equal(s rule) bool { return bytes.Equal(r.append(nil), s.append(nil)) }

func (r rule) append(b []byte) []byte {
	b = append(strconv.AppendQuote(b, r.comment), ':')
	for _, e := range r.exprs {
		b = e.append(append(b, ' '))
	}
	return b
}

// append leaves out what a kernel may add by itself: the counts of a counter, and the
// operation 0, "mask and xor", of a bitwise expression (Linux 5.6).
func (e expr) append(b []byte) []byte {
	b = strconv.AppendQuote(b, e.name)
	if e.name == "counter" {
		return b
	}
	return appendAttrs(b, e.attrs, path{expr: e.name})
}

const nftaBitwiseOp = 6

// path leads to attributes inside an expression.
type path struct {
	expr         string
	outer, inner uint16
}

// nested are the attributes that hold attributes.
var nested = [...]path{
	{"cmp", 3, 0}, {"bitwise", 4, 0}, {"bitwise", 5, 0}, {"immediate", 2, 0}, {"immediate", 2, 2},
}

func appendAttrs(out, b []byte, at path) []byte {
	type one struct {
		typ uint16
		v   []byte
	}
	all := make([]one, 0, 8)
	err := each(b, func(typ uint16, v []byte) error {
		all = append(all, one{typ, v})
		return nil
	})
	sorted.StableFunc(all, func(a, b one) int { return cmp.Compare(a.typ, b.typ) })
	out = append(out, '(')
	for _, o := range all {
		if at.expr == "bitwise" && at.outer == 0 && o.typ == nftaBitwiseOp && len(o.v) == 4 && binary.BigEndian.Uint32(o.v) == 0 {
			continue
		}
		deeper := at
		if at.outer == 0 {
			deeper.outer = o.typ
		} else {
			deeper.inner = o.typ
		}
		out = append(strconv.AppendUint(append(out, ' '), uint64(o.typ), 10), '=')
		if at.inner == 0 && slices.Contains(nested[:], deeper) {
			out = appendAttrs(out, o.v, deeper)
		} else {
			out = hex.AppendEncode(out, o.v)
		}
	}
	if err != nil {
		out = hex.AppendEncode(append(out, " broken="...), b)
	}
	return append(out, ')')
}
