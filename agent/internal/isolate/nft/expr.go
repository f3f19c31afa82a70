//go:build linux

package nft

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// expr is one expression of a rule as it goes over netlink: its name, and its
// attributes in bytes (NFTA_EXPR_DATA).
type expr struct {
	name  string
	attrs []byte
}

// attr appends a netlink attribute: length, type, value, padding (netlink(7)).
func attr(b []byte, typ uint16, v []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofNlAttr+len(v)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, v...)
	for len(b)%unix.NLA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

// nest appends an attribute that holds attributes.
func nest(b []byte, typ uint16, v []byte) []byte { return attr(b, typ|unix.NLA_F_NESTED, v) }

func be16(v uint16) []byte   { return binary.BigEndian.AppendUint16(nil, v) }
func be32(v uint32) []byte   { return binary.BigEndian.AppendUint32(nil, v) }
func host32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
func str(s string) []byte    { return append([]byte(s), 0) }

// equal and not compare the register with a value.
func equal(v []byte) expr { return compareTo(unix.NFT_CMP_EQ, v) }
func not(v []byte) expr   { return compareTo(unix.NFT_CMP_NEQ, v) }

func compareTo(op uint32, v []byte) expr {
	b := attr(nil, unix.NFTA_CMP_SREG, be32(unix.NFT_REG_1))
	b = attr(b, unix.NFTA_CMP_OP, be32(op))
	return expr{"cmp", nest(b, unix.NFTA_CMP_DATA, attr(nil, unix.NFTA_DATA_VALUE, v))}
}

// meta matches a property of the packet.
func meta(key uint32, v []byte) []expr {
	b := attr(nil, unix.NFTA_META_DREG, be32(unix.NFT_REG_1))
	return []expr{{"meta", attr(b, unix.NFTA_META_KEY, be32(key))}, equal(v)}
}

// load takes bytes of the packet into the register.
func load(base, offset uint32, n int) expr {
	b := attr(nil, unix.NFTA_PAYLOAD_DREG, be32(unix.NFT_REG_1))
	b = attr(b, unix.NFTA_PAYLOAD_BASE, be32(base))
	b = attr(b, unix.NFTA_PAYLOAD_OFFSET, be32(offset))
	return expr{"payload", attr(b, unix.NFTA_PAYLOAD_LEN, be32(uint32(n)))}
}

// network and transport match bytes of the packet's headers.
func network(offset uint32, v []byte) []expr {
	return []expr{load(unix.NFT_PAYLOAD_NETWORK_HEADER, offset, len(v)), equal(v)}
}

func transport(offset uint32, v []byte) []expr {
	return []expr{load(unix.NFT_PAYLOAD_TRANSPORT_HEADER, offset, len(v)), equal(v)}
}

// mask keeps the bits of the register that are set in m.
func mask(m []byte) expr {
	b := attr(nil, unix.NFTA_BITWISE_SREG, be32(unix.NFT_REG_1))
	b = attr(b, unix.NFTA_BITWISE_DREG, be32(unix.NFT_REG_1))
	b = attr(b, unix.NFTA_BITWISE_LEN, be32(uint32(len(m))))
	b = nest(b, unix.NFTA_BITWISE_MASK, attr(nil, unix.NFTA_DATA_VALUE, m))
	return expr{"bitwise", nest(b, unix.NFTA_BITWISE_XOR, attr(nil, unix.NFTA_DATA_VALUE, make([]byte, len(m))))}
}

// inPrefix matches an address in the packet's network header.
func inPrefix(offset uint32, p netip.Prefix) []expr {
	return prefixed(unix.NFT_PAYLOAD_NETWORK_HEADER, offset, p)
}

// between matches a port, both ends included.
func between(offset uint32, first, last uint16) []expr {
	if first == last {
		return transport(offset, be16(first))
	}
	return []expr{load(unix.NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2),
		compareTo(unix.NFT_CMP_GTE, be16(first)), compareTo(unix.NFT_CMP_LTE, be16(last))}
}

// prefixed matches an address anywhere in the packet.
func prefixed(base, offset uint32, p netip.Prefix) []expr {
	n := p.Addr().BitLen() / 8
	m := make([]byte, n)
	for i := range p.Bits() {
		m[i/8] |= 0x80 >> (i % 8)
	}
	for n > 1 && m[n-1] == 0 { // load no more than counts
		n--
	}
	v := p.Masked().Addr().AsSlice()[:n]
	if p.Bits() == n*8 {
		return []expr{load(base, offset, n), equal(v)}
	}
	return []expr{load(base, offset, n), mask(m[:n]), equal(v)}
}

// The verdicts, as the kernel numbers them.
const (
	drop   uint32 = 0 // NF_DROP
	accept uint32 = 1 // NF_ACCEPT
	jump   uint32 = 0xffffffff + unix.NFT_JUMP + 1
)

func verdict(code uint32) expr { return verdictAttr(attr(nil, unix.NFTA_VERDICT_CODE, be32(code))) }

func jumpTo(chain string) expr {
	return verdictAttr(attr(attr(nil, unix.NFTA_VERDICT_CODE, be32(jump)), unix.NFTA_VERDICT_CHAIN, str(chain)))
}

func verdictAttr(v []byte) expr {
	b := attr(nil, unix.NFTA_IMMEDIATE_DREG, be32(unix.NFT_REG_VERDICT))
	return expr{"immediate", nest(b, unix.NFTA_IMMEDIATE_DATA, nest(nil, unix.NFTA_DATA_VERDICT, v))}
}

func counter() expr { return expr{name: "counter"} }
