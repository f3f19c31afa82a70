// Package winbytes reads what Windows answers as bytes: tables of processes, sockets and
// handles, texts in UTF-16, times. It knows nothing of how Windows is asked, so that what
// was recorded on a PC can be read anywhere.
//
// The layouts are those of 64-bit Windows. All bytes are taken for hostile: a length or an
// address that leads out of the answer is an error and never read.
package winbytes

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrShort says that an answer ends in the middle of what it should hold.
var ErrShort = errors.New("the answer of the system is not whole")

// Answer is what a call filled. Base is where the bytes stood in memory: texts in an answer
// are told by their address.
type Answer struct {
	Bytes []byte
	Base  uint64
}

// view is a part of an answer; reads behind its end give zero and set short.
type view struct {
	b     []byte
	short bool
}

func (v *view) at(off, n int) []byte {
	if off < 0 || off > len(v.b)-n {
		v.short = true
		return make([]byte, n)
	}
	return v.b[off : off+n]
}

func (v *view) u16(off int) uint16 { return binary.LittleEndian.Uint16(v.at(off, 2)) }
func (v *view) u32(off int) uint32 { return binary.LittleEndian.Uint32(v.at(off, 4)) }
func (v *view) u64(off int) uint64 { return binary.LittleEndian.Uint64(v.at(off, 8)) }
func (v *view) i64(off int) int64  { return int64(v.u64(off)) }

// err is the error of the reads so far.
func (v *view) err(what string) error {
	if v.short {
		return fmt.Errorf("read %s: %w", what, ErrShort)
	}
	return nil
}

// sizes of UNICODE_STRING: Length and MaximumLength in bytes, padding, address.
const (
	unicodeBuffer = 8
	unicodeSize   = 16
)

// Unicode returns the bytes of the UNICODE_STRING at off, which must lie within the answer
// itself. Without a buffer there are none.
func (a Answer) Unicode(off int) ([]byte, error) {
	v := view{b: a.Bytes}
	n, buffer := int(v.u16(off)), v.u64(off+unicodeBuffer)
	if err := v.err("text"); err != nil {
		return nil, err
	}
	if n == 0 || buffer == 0 {
		return nil, nil
	}
	from := buffer - a.Base // wraps for one before the answer
	if buffer < a.Base || from > uint64(len(a.Bytes)) || uint64(n) > uint64(len(a.Bytes))-from {
		return nil, fmt.Errorf("read text: it leads out of the answer: %w", ErrShort)
	}
	return a.Bytes[from : from+uint64(n)], nil
}
