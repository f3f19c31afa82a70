package wfp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf16"
)

// The types of values that we use (FWP_DATA_TYPE, fwptypes.h).
const (
	typeEmpty  = 0
	typeUint8  = 1
	typeUint16 = 2
	typeUint32 = 3
	typeUint64 = 4
	typeArray  = 11 // 16 bytes, an IPv6 address
	typeBlob   = 12
	typeSD     = 14 // a security descriptor
	typeMask4  = 0x100
	typeMask6  = 0x101
	typeRange  = 0x102
)

// value is FWP_VALUE0 or FWP_CONDITION_VALUE0.
type value struct {
	kind uint32
	// number is of the types with numbers; the address of typeMask4.
	number uint64
	// bytes are of typeArray, typeBlob and typeSD; the address of typeMask6.
	bytes []byte
	// bits is the length of the prefix of a mask, or -1 if a mask is none.
	bits int
	// low and high are of typeRange.
	low, high *value
}

func u8(n uint8) value   { return value{kind: typeUint8, number: uint64(n)} }
func u16(n uint16) value { return value{kind: typeUint16, number: uint64(n)} }
func u32(n uint32) value { return value{kind: typeUint32, number: uint64(n)} }

// prefixValue is a network. One address is no mask, so that nothing is left to normalise.
func prefixValue(p netip.Prefix) value {
	p = p.Masked()
	switch a := p.Addr(); {
	case a.Is4() && p.IsSingleIP():
		return u32(number4(a))
	case a.Is4():
		return value{kind: typeMask4, number: uint64(number4(a)), bits: p.Bits()}
	case p.IsSingleIP():
		return value{kind: typeArray, bytes: a.AsSlice()}
	default:
		return value{kind: typeMask6, bytes: a.AsSlice(), bits: p.Bits()}
	}
}

func number4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func address4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
}

// prefix is the network of a value, if it is one.
func (v value) prefix() (p netip.Prefix, ok bool) {
	switch v.kind {
	case typeUint32:
		p = netip.PrefixFrom(address4(uint32(v.number)), 32)
	case typeMask4:
		p = netip.PrefixFrom(address4(uint32(v.number)), v.bits)
	case typeArray, typeMask6:
		a, good := netip.AddrFromSlice(v.bytes)
		if !good {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(a, 128)
		if v.kind == typeMask6 {
			p = netip.PrefixFrom(a, v.bits)
		}
	}
	return p, p.IsValid()
}

// String is the same for values that mean the same.
func (v value) String() string {
	switch v.kind {
	case typeEmpty:
		return "empty"
	case typeUint8, typeUint16, typeUint32, typeUint64:
		return fmt.Sprintf("%d", v.number)
	case typeArray, typeMask4, typeMask6:
		if p, ok := v.prefix(); ok {
			return p.Masked().String()
		}
	case typeBlob:
		return "blob " + text16(v.bytes)
	case typeSD:
		return "sd " + descriptorString(v.bytes)
	case typeRange:
		if v.low != nil && v.high != nil {
			return v.low.String() + "-" + v.high.String()
		}
	}
	return fmt.Sprintf("type %d", v.kind)
}

// asAddress is String for a field that holds addresses.
func (c condition) valueString() string {
	if c.field == fieldRemoteAddress {
		if p, ok := c.value.prefix(); ok {
			return p.Masked().String()
		}
	}
	return c.value.String()
}

// String is the same for conditions that ask the same.
func (c condition) String() string {
	return fmt.Sprintf("%s %d %s", c.field, c.match, c.valueString())
}

// text16 is UTF-16 as it stands in memory, up to its end.
func text16(b []byte) string {
	var u []uint16
	for ; len(b) >= 2; b = b[2:] {
		n := binary.LittleEndian.Uint16(b)
		if n == 0 {
			break
		}
		u = append(u, n)
	}
	return string(utf16.Decode(u))
}

// bytes16 is a text in UTF-16 with its end.
func bytes16(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(strings.ReplaceAll(s, "\x00", ""))) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return append(b, 0, 0)
}

// sameApp reports whether two application ids name the same program. BFE keeps them in
// lower case.
func sameApp(a, b []byte) bool {
	return bytes.Equal(a, b) || strings.EqualFold(text16(a), text16(b))
}
