package memory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// The parts of an ELF core file (elf(5)) that are read here.
const (
	elfHeader   = 64
	progHeader  = 56
	maxSegments = 8 << 10
	maxNotes    = 256 << 10

	ptLoad = 1
	ptNote = 4
	// nowhere is the physical address of what has none.
	nowhere = math.MaxUint64
)

// segment is physical memory and where it stands in /proc/kcore.
type segment struct {
	span
	offset int64
}

var (
	errNoCore     = errors.New("/proc/kcore is not a 64-bit little-endian ELF file")
	errNoPhysical = fmt.Errorf("%w: /proc/kcore of this kernel does not say which physical memory it shows", errors.ErrUnsupported)
)

// readCore reads the program headers of /proc/kcore. info is the kernel's VMCOREINFO, if
// it gives one.
func readCore(r io.ReaderAt) (segments []segment, info string, err error) {
	var head [elfHeader]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, "", fmt.Errorf("read /proc/kcore: %w", err)
	}
	le := binary.LittleEndian
	at, size, n := le.Uint64(head[32:]), le.Uint16(head[54:]), int(le.Uint16(head[56:]))
	if string(head[:6]) != "\x7fELF\x02\x01" || size != progHeader || n == 0 || n > maxSegments || at > math.MaxInt32 {
		return nil, "", errNoCore
	}
	table := make([]byte, n*progHeader)
	if _, err := r.ReadAt(table, int64(at)); err != nil {
		return nil, "", fmt.Errorf("read /proc/kcore: %w", err)
	}
	zero := 0
	for ; len(table) > 0; table = table[progHeader:] {
		kind, offset, paddr, length := le.Uint32(table), le.Uint64(table[8:]), le.Uint64(table[24:]), le.Uint64(table[32:])
		if offset > math.MaxInt64 || length > math.MaxInt64-offset {
			continue
		}
		switch kind {
		case ptNote:
			if info == "" {
				info = vmcoreinfo(r, int64(offset), int64(length))
			}
		case ptLoad:
			if paddr == nowhere || length == 0 || paddr+length < paddr {
				continue
			}
			if paddr == 0 {
				zero++
			}
			segments = append(segments, segment{span{paddr, paddr + length}, int64(offset)})
		}
	}
	if zero > 1 { // before Linux 4.11 all of them say zero
		return nil, info, errNoPhysical
	}
	return segments, info, nil
}

// vmcoreinfo finds the note of that name. A kernel without it is no worse for it.
func vmcoreinfo(r io.ReaderAt, offset, length int64) string {
	b := make([]byte, min(length, maxNotes))
	n, err := r.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return string(bytes.TrimRight(note(b[:n], "VMCOREINFO", 0), "\x00"))
}

// note returns what the first note of a name and type holds (elf(5), Notes); nil when
// there is none.
func note(b []byte, name string, kind uint32) []byte {
	le := binary.LittleEndian
	padded := func(n uint32) uint64 { return (uint64(n) + 3) &^ 3 }
	for len(b) >= 12 {
		nameLen, descLen, typ := le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])
		b = b[12:]
		if padded(nameLen)+uint64(descLen) > uint64(len(b)) {
			return nil
		}
		desc := b[padded(nameLen):][:descLen]
		if typ == kind && string(bytes.TrimRight(b[:nameLen], "\x00")) == name {
			return desc
		}
		b = b[min(padded(nameLen)+padded(descLen), uint64(len(b))):]
	}
	return nil
}

// piece is a part of RAM that is read as one, and where it stands in /proc/kcore;
// absent where that does not show it.
type piece struct {
	span
	offset int64
}

const (
	absent = -1
	// maxPiece is how much has one line, and one time, in the table.
	maxPiece = 1 << 30
	// maxPieces and maxRAM are more than any PC has: 64 TiB that are shown, and 4 PiB.
	maxPieces = 64 << 10
	maxRAM    = 1 << 52
	maxAddr   = 1 << 56 // of physical memory, on any processor that Linux knows
)

// plan says where to read each part of RAM. What /proc/kcore does not show is one piece,
// however long it is.
func plan(ram []span, segments []segment) (pieces []piece, err error) {
	if n := total(ram); n > maxRAM {
		return nil, fmt.Errorf("/proc/iomem lists %d bytes of System RAM: no PC has so much", n)
	}
	for _, s := range ram {
		if s.end > maxAddr {
			return nil, fmt.Errorf("/proc/iomem lists System RAM up to 0x%x: no processor reaches it", s.end)
		}
		for at := s.start; at < s.end; {
			if len(pieces) == maxPieces {
				return nil, fmt.Errorf("/proc/iomem and /proc/kcore list more than %d pieces of memory", maxPieces)
			}
			p := piece{span{at, s.end}, absent}
			var reach uint64
			for _, g := range segments {
				switch {
				case g.start > at:
					if p.offset == absent { // whatever comes next ends a gap
						p.end = min(p.end, g.start)
					}
				case g.end > max(at, reach): // the kernel's code is shown twice; the longer one will do
					reach, p.offset = g.end, g.offset+int64(at-g.start)
				}
			}
			if p.offset != absent {
				p.end = min(s.end, at-at%maxPiece+maxPiece, reach)
			}
			pieces = append(pieces, p)
			at = p.end
		}
	}
	return pieces, nil
}
