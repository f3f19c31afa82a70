package wfp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// memory is where the engine's answers stand.
type memory interface {
	// read returns n bytes at an address, which stay as they are until the answer is freed.
	read(at uint64, n int) ([]byte, error)
}

var errAnswer = errors.New("engine's answer is not understood")

// What an answer may hold at most, so that one that is damaged costs little.
const (
	conditionsMax = 4096
	blobMax       = 64 << 10
	textMax       = 4 << 10 // characters
)

// decoder reads one object and keeps the first error.
type decoder struct {
	m   memory
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// read returns n bytes, zeros after an error.
func (d *decoder) read(at uint64, n int) []byte {
	if d.err == nil && at == 0 {
		d.fail(fmt.Errorf("pointer to nothing: %w", errAnswer))
	}
	if d.err != nil {
		return make([]byte, n)
	}
	b, err := d.m.read(at, n)
	if err == nil && len(b) != n {
		err = fmt.Errorf("%d bytes of %d: %w", len(b), n, errAnswer)
	}
	if err != nil {
		d.fail(err)
		return make([]byte, n)
	}
	return b
}

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// text reads UTF-16 up to its end; no pointer is no text.
func (d *decoder) text(at uint64) string {
	if at == 0 {
		return ""
	}
	var b []byte
	for range textMax {
		c := d.read(at, 2)
		if d.err != nil || c[0] == 0 && c[1] == 0 {
			break
		}
		b = append(b, c...)
		at += 2
	}
	return text16(b)
}

func (d *decoder) guidAt(at uint64) (g GUID) {
	if at == 0 {
		return GUID{}
	}
	copy(g[:], d.read(at, len(g)))
	return g
}

// value reads FWP_VALUE0 or FWP_CONDITION_VALUE0. Of a type that nobody here asks for only
// the type is kept.
func (d *decoder) value(b []byte, inner bool) value {
	v := value{kind: le32(b)}
	n, at := le32(b[8:]), le64(b[8:])
	switch v.kind {
	case typeUint8:
		v.number = uint64(uint8(n))
	case typeUint16:
		v.number = uint64(uint16(n))
	case typeUint32:
		v.number = uint64(n)
	case typeUint64:
		v.number = le64(d.read(at, 8))
	case typeArray:
		v.bytes = append([]byte(nil), d.read(at, 16)...)
	case typeBlob, typeSD:
		blob := d.read(at, sizeBlob)
		size := le32(blob)
		switch {
		case size > blobMax:
			d.fail(fmt.Errorf("blob of %d bytes: %w", size, errAnswer))
		case size > 0:
			v.bytes = append([]byte(nil), d.read(le64(blob[8:]), int(size))...)
		}
	case typeMask4:
		m := d.read(at, 8)
		v.number, v.bits = uint64(le32(m)), prefixBits(le32(m[4:]))
	case typeMask6:
		m := d.read(at, 17)
		v.bytes, v.bits = append([]byte(nil), m[:16]...), int(m[16])
		if v.bits > 128 {
			v.bits = -1
		}
	case typeRange:
		if inner { // a range of ranges is none
			d.fail(fmt.Errorf("range in a range: %w", errAnswer))
			return v
		}
		r := d.read(at, sizeRange)
		low, high := d.value(r, true), d.value(r[sizeValue:], true)
		v.low, v.high = &low, &high
	}
	return v
}

// prefixBits is the length of the prefix that a mask leaves, or -1.
func prefixBits(mask uint32) int {
	n := bits.LeadingZeros32(^mask)
	if n < 32 && mask<<n != 0 {
		return -1
	}
	return n
}

// decodeFilter reads FWPM_FILTER0. Of a filter whose weight or conditions are not understood
// all else is kept: others may have put it there, and must not keep us from reading the rest.
func decodeFilter(m memory, at uint64) (filter, error) {
	d := &decoder{m: m}
	b := d.read(at, sizeFilter)
	f := filter{
		key: GUID(b[:16]), name: d.text(le64(b[atName:])), flags: le32(b[filterFlags:]),
		provider: d.guidAt(le64(b[filterProvider:])), layer: GUID(b[filterLayer:]), sublayer: GUID(b[filterSublayer:]),
		action: le32(b[filterAction:]), id: le64(b[filterID:]),
	}
	if d.err != nil {
		return filter{}, fmt.Errorf("read filter: %w", d.err)
	}
	f.weight = d.value(b[filterWeight:], true)
	if e := d.value(b[filterEffective:], true); e.kind == typeUint64 {
		f.effective = e.number
	}
	n := le32(b[filterCount:])
	if n > conditionsMax {
		d.fail(fmt.Errorf("%d conditions: %w", n, errAnswer))
		n = 0
	}
	if n > 0 && d.err == nil {
		cs := d.read(le64(b[filterConditions:]), int(n)*sizeCondition)
		for ; len(cs) > 0 && d.err == nil; cs = cs[sizeCondition:] {
			f.conditions = append(f.conditions, condition{GUID(cs[:16]), le32(cs[conditionMatch:]), d.value(cs[conditionValue:], false)})
		}
	}
	f.unread = d.err
	return f, nil
}

// decodeProvider reads FWPM_PROVIDER0.
func decodeProvider(m memory, at uint64) (provider, error) {
	d := &decoder{m: m}
	b := d.read(at, sizeProvider)
	p := provider{key: GUID(b[:16]), name: d.text(le64(b[atName:])), flags: le32(b[providerFlags:]), service: d.text(le64(b[providerService:]))}
	if d.err != nil {
		return provider{}, fmt.Errorf("read provider: %w", d.err)
	}
	return p, nil
}

// decodeSublayer reads FWPM_SUBLAYER0. Some headers have its flags in 16 bits.
func decodeSublayer(m memory, at uint64) (sublayer, error) {
	d := &decoder{m: m}
	b := d.read(at, sizeSublayer)
	s := sublayer{
		key: GUID(b[:16]), name: d.text(le64(b[atName:])), flags: le32(b[sublayerFlags:]) & 0xffff,
		provider: d.guidAt(le64(b[sublayerProvider:])), weight: binary.LittleEndian.Uint16(b[sublayerWeightAt:]),
	}
	if d.err != nil {
		return sublayer{}, fmt.Errorf("read sublayer: %w", d.err)
	}
	return s, nil
}

// change is what the engine tells of a filter.
type change struct {
	key     GUID
	removed bool
}

// decodeChange reads FWPM_FILTER_CHANGE0.
func decodeChange(b []byte) change {
	const removed = 2 // FWPM_CHANGE_DELETE
	return change{GUID(b[changeKey : changeKey+16]), le32(b) == removed}
}

// pointers reads an array of pointers.
func pointers(m memory, at uint64, n int) ([]uint64, error) {
	if n == 0 {
		return nil, nil
	}
	d := &decoder{m: m}
	b := d.read(at, 8*n)
	out := make([]uint64, n)
	for i := range out {
		out[i] = le64(b[8*i:])
	}
	return out, d.err
}
