package wfp

import (
	"encoding/binary"
	"fmt"
)

// The sizes and offsets of fwpmtypes.h and fwptypes.h in a program of 64 bits. There is no
// agent for Windows of 32 bits.
const (
	sizeSession      = 72
	sizeProvider     = 64
	sizeSublayer     = 72
	sizeFilter       = 200
	sizeCondition    = 40
	sizeValue        = 16
	sizeBlob         = 16
	sizeRange        = 2 * sizeValue
	sizeTemplate     = 72
	sizeSubscription = 32
	sizeChange       = 32

	atName = 16 // FWPM_DISPLAY_DATA0, in all objects

	sessionFlags = 32
	sessionWait  = 36

	providerFlags   = 32
	providerService = 56

	sublayerFlags    = 32
	sublayerProvider = 40
	sublayerWeightAt = 64

	filterFlags      = 32
	filterProvider   = 40
	filterLayer      = 64
	filterSublayer   = 80
	filterWeight     = 96
	filterCount      = 112
	filterConditions = 120
	filterAction     = 128
	filterID         = 176
	filterEffective  = 184

	conditionMatch = 16
	conditionValue = 24

	templateLayer = 8
	templateFlags = 28
	// FWPM_FILTER_ENUM_TEMPLATE0.actionMask: every action.
	templateActions = 56

	subscriptionFlags = 8

	changeKey = 4
)

// image is an object with everything that it points to, in one block of memory. Its first
// byte is that of the object.
type image struct {
	b      []byte
	points []int // where pointers stand; in b they count from its begin
}

// room returns the offset of n more bytes, zero and aligned for anything.
func (m *image) room(n int) int {
	at := (len(m.b) + 7) &^ 7
	m.b = append(m.b, make([]byte, at+n-len(m.b))...)
	return at
}

func (m *image) put16(at int, n uint16) { binary.LittleEndian.PutUint16(m.b[at:], n) }
func (m *image) put32(at int, n uint32) { binary.LittleEndian.PutUint32(m.b[at:], n) }
func (m *image) put64(at int, n uint64) { binary.LittleEndian.PutUint64(m.b[at:], n) }
func (m *image) putGUID(at int, g GUID) { copy(m.b[at:], g[:]) }

// point makes the pointer at at one to data, which it copies.
func (m *image) point(at int, data []byte) {
	to := m.room(len(data))
	copy(m.b[to:], data)
	m.pointTo(at, to)
}

func (m *image) pointTo(at, to int) {
	m.put64(at, uint64(to))
	m.points = append(m.points, at)
}

// at is the block as it must be for it to stand at an address.
func (m *image) at(base uint64) []byte {
	b := append([]byte(nil), m.b...)
	m.move(b, base)
	return b
}

// move makes the pointers in b, a copy of the block, right for an address.
func (m *image) move(b []byte, base uint64) {
	for _, p := range m.points {
		binary.LittleEndian.PutUint64(b[p:], base+binary.LittleEndian.Uint64(m.b[p:]))
	}
}

// putValue writes FWP_VALUE0 or FWP_CONDITION_VALUE0.
func (m *image) putValue(at int, v value) error {
	m.put32(at, v.kind)
	at += 8
	switch v.kind {
	case typeEmpty:
	case typeUint8, typeUint16, typeUint32:
		m.put32(at, uint32(v.number))
	case typeUint64:
		m.point(at, binary.LittleEndian.AppendUint64(nil, v.number))
	case typeArray:
		if len(v.bytes) != 16 {
			return fmt.Errorf("encode array of %d bytes", len(v.bytes))
		}
		m.point(at, v.bytes)
	case typeBlob, typeSD:
		blob := m.room(sizeBlob)
		m.pointTo(at, blob)
		m.put32(blob, uint32(len(v.bytes)))
		m.point(blob+8, v.bytes)
	case typeMask4:
		mask := uint32(0)
		if v.bits > 0 {
			mask = ^uint32(0) << (32 - v.bits)
		}
		m.point(at, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(v.number)), mask))
	case typeMask6:
		if len(v.bytes) != 16 {
			return fmt.Errorf("encode address of %d bytes", len(v.bytes))
		}
		m.point(at, append(append([]byte(nil), v.bytes...), byte(v.bits)))
	case typeRange:
		r := m.room(sizeRange)
		m.pointTo(at, r)
		if err := m.putValue(r, *v.low); err != nil {
			return err
		}
		return m.putValue(r+sizeValue, *v.high)
	default:
		return fmt.Errorf("encode value of type %d", v.kind)
	}
	return nil
}

// encodeFilter is FWPM_FILTER0.
func encodeFilter(f filter) (*image, error) {
	m := &image{}
	m.room(sizeFilter)
	m.putGUID(0, f.key)
	m.point(atName, bytes16(f.name))
	m.put32(filterFlags, f.flags)
	if f.provider != (GUID{}) {
		m.point(filterProvider, f.provider[:])
	}
	m.putGUID(filterLayer, f.layer)
	m.putGUID(filterSublayer, f.sublayer)
	if err := m.putValue(filterWeight, f.weight); err != nil {
		return nil, err
	}
	m.put32(filterCount, uint32(len(f.conditions)))
	if n := len(f.conditions); n > 0 {
		at := m.room(n * sizeCondition)
		m.pointTo(filterConditions, at)
		for _, c := range f.conditions {
			m.putGUID(at, c.field)
			m.put32(at+conditionMatch, c.match)
			if err := m.putValue(at+conditionValue, c.value); err != nil {
				return nil, fmt.Errorf("encode filter %q: %w", f.name, err)
			}
			at += sizeCondition
		}
	}
	m.put32(filterAction, f.action)
	m.put64(filterID, f.id)
	m.put32(filterEffective, typeEmpty)
	if f.effective != 0 {
		m.put32(filterEffective, typeUint64)
		m.point(filterEffective+8, binary.LittleEndian.AppendUint64(nil, f.effective))
	}
	return m, nil
}

// encodeProvider is FWPM_PROVIDER0.
func encodeProvider(p provider) *image {
	m := &image{}
	m.room(sizeProvider)
	m.putGUID(0, p.key)
	m.point(atName, bytes16(p.name))
	m.put32(providerFlags, p.flags)
	if p.service != "" {
		m.point(providerService, bytes16(p.service))
	}
	return m
}

// encodeSublayer is FWPM_SUBLAYER0.
func encodeSublayer(s sublayer) *image {
	m := &image{}
	m.room(sizeSublayer)
	m.putGUID(0, s.key)
	m.point(atName, bytes16(s.name))
	m.put32(sublayerFlags, s.flags)
	if s.provider != (GUID{}) {
		m.point(sublayerProvider, s.provider[:])
	}
	m.put16(sublayerWeightAt, s.weight)
	return m
}

// encodeSession is FWPM_SESSION0 of one whose objects outlive it. wait, in milliseconds, is
// how long a transaction may wait for another's.
func encodeSession(name string, wait uint32) *image {
	m := &image{}
	m.room(sizeSession)
	m.point(atName, bytes16(name))
	m.put32(sessionFlags, 0)
	m.put32(sessionWait, wait)
	return m
}

// encodeTemplate is FWPM_FILTER_ENUM_TEMPLATE0 for all filters of a layer, those of the
// start and disabled ones too.
func encodeTemplate(layer GUID) *image {
	m := &image{}
	m.room(sizeTemplate)
	m.putGUID(templateLayer, layer)
	m.put32(templateFlags, enumIncludeBoot|enumIncludeOff)
	m.put32(templateActions, 0xffffffff)
	return m
}

// encodeSubscription is FWPM_FILTER_SUBSCRIPTION0 for every change of any filter.
func encodeSubscription() *image {
	const add, remove = 1, 2 // FWPM_SUBSCRIPTION_FLAG_NOTIFY_ON_…
	m := &image{}
	m.room(sizeSubscription)
	m.put32(subscriptionFlags, add|remove)
	return m
}
