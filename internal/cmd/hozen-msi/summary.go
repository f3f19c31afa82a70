package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// The summary of an installer is a property set (MS-OLEPS 2.21): a header, and after it the
// identifier of the one section that there is.
const (
	summaryFormat = "\xe0\x85\x9f\xf2\xf9\x4f\x68\x10\xab\x91\x08\x00\x2b\x27\xb3\xd9"
	typeFileTime  = 0x40
	typeString    = 0x1e
	template      = 7 // PIDSI_TEMPLATE: processor and language
	revision      = 9 // PIDSI_REVNUMBER: the package's code
	wixlTemplate  = "x64;1033"
)

// settle changes in place what wixl cannot be told of the summary: the language, the
// package's code, and the times, which would make each installer another one.
func settle(msi []byte, lcid, code string) error {
	at := bytes.Index(msi, []byte(summaryFormat))
	if at < 0 || bytes.LastIndex(msi, []byte(summaryFormat)) != at || at+20 > len(msi) {
		return fmt.Errorf("%w: no section", errSummary)
	}
	start := at - 28 // of the stream
	if start < 0 || binary.LittleEndian.Uint16(msi[start:]) != 0xfffe {
		return fmt.Errorf("%w: no header", errSummary)
	}
	begin := start + int(binary.LittleEndian.Uint32(msi[at+16:]))
	if begin < 0 || begin+8 > len(msi) {
		return fmt.Errorf("%w: the section lies outside", errSummary)
	}
	section := msi[begin:]
	size, n := int(binary.LittleEndian.Uint32(section)), int(binary.LittleEndian.Uint32(section[4:]))
	if size > len(section) || n > 64 || 8+8*n > size {
		return fmt.Errorf("%w: size %d", errSummary, size)
	}
	section = section[:size]
	for i := range n {
		id, offset := binary.LittleEndian.Uint32(section[8+8*i:]), int(binary.LittleEndian.Uint32(section[12+8*i:]))
		if offset < 0 || offset+8 > size {
			return fmt.Errorf("%w: property %d lies outside", errSummary, id)
		}
		kind, value := binary.LittleEndian.Uint32(section[offset:]), section[offset+4:]
		switch {
		case kind == typeFileTime && len(value) >= 8:
			binary.LittleEndian.PutUint64(value, fileTime(epoch()))
		case kind == typeString && id == template:
			text, want := value[4:], "x64;"+lcid
			if len(want) != len(wixlTemplate) || !bytes.HasPrefix(text, []byte(wixlTemplate)) {
				return fmt.Errorf("%w: template %.20q", errSummary, text)
			}
			copy(text, want)
		case kind == typeString && id == revision:
			text := value[4:]
			if len(text) <= len(code) || text[0] != '{' || text[len(code)-1] != '}' || text[len(code)] != 0 {
				return fmt.Errorf("%w: package code %.40q", errSummary, text)
			}
			copy(text, code)
		}
	}
	return nil
}

// fileTime counts the 100 ns since 1601 (FILETIME).
func fileTime(t time.Time) uint64 {
	const from1601To1970 = 11_644_473_600
	return uint64(t.Unix()+from1601To1970) * 10_000_000
}
