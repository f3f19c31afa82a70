package ring

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
)

// sector is what groups are aligned to: the smallest piece that a disk writes whole, so
// that writing a group never touches bytes of one that was promised before.
const sector = 512

const (
	groupHeader = 84        // bytes before the payload
	maxPlain    = 256 << 10 // bytes of the entries of one group
	minEntry    = 6         // bytes of the smallest entry
	maxEntry    = MaxPayload + 40
	plainGroup  = 0
	zstdGroup   = 1
)

type hash [sha256.Size]byte

type marker [8]byte

// group is the form of one group of entries in a segment. Its bytes are those of the
// segment.
type group struct {
	off, size        int // in the segment, padding not included
	encoding         byte
	plain            int
	count            uint32
	first            uint64
	earliest, latest int64 // wall clock, nanoseconds since 1970
	link, sum        hash
	stored           []byte
}

func (g group) last() uint64 { return g.first + uint64(g.count) - 1 }

func align[T int | int64](n T) T { return (n + sector - 1) / sector * sector }

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// appendGroup appends a group, padded to whole sectors, and returns its hash.
func appendGroup(b []byte, m marker, link hash, c *chunk, encoding byte, stored []byte) ([]byte, hash) {
	start := len(b)
	b = append(b, m[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(stored)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(c.plain)))
	b = binary.LittleEndian.AppendUint32(b, c.count)
	b = append(b, encoding, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, c.first)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.earliest))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.latest))
	b = append(b, link[:]...)
	sum := crc32.Update(crc32.Checksum(b[start:], castagnoli()), castagnoli(), stored)
	b = binary.LittleEndian.AppendUint32(b, sum)
	b = append(b, stored...)
	h := sha256.Sum256(b[start:])
	return append(b, make([]byte, align(len(b)-start)-(len(b)-start))...), h
}

// parseGroup reads the group at the offset. There is none when ok is false.
func parseGroup(b []byte, off int, m marker) (g group, ok bool) {
	if off < 0 || off > len(b) || len(b)-off < groupHeader || !bytes.Equal(b[off:off+8], m[:]) {
		return group{}, false
	}
	h := b[off:]
	stored, plain := binary.LittleEndian.Uint32(h[8:]), binary.LittleEndian.Uint32(h[12:])
	g = group{
		off: off, encoding: h[20], plain: int(plain), count: binary.LittleEndian.Uint32(h[16:]),
		first:    binary.LittleEndian.Uint64(h[24:]),
		earliest: int64(binary.LittleEndian.Uint64(h[32:])), latest: int64(binary.LittleEndian.Uint64(h[40:])),
	}
	switch {
	case stored > maxPlain || int(stored) > len(h)-groupHeader || plain > maxPlain,
		g.encoding > zstdGroup || h[21] != 0 || h[22] != 0 || h[23] != 0,
		g.count == 0 || int64(g.count)*minEntry > int64(plain),
		g.first == 0 || g.first > math.MaxUint64-uint64(g.count),
		g.encoding == plainGroup && stored != plain:
		return group{}, false
	}
	copy(g.link[:], h[48:80])
	g.stored = h[groupHeader : groupHeader+stored]
	g.size = groupHeader + int(stored)
	if crc32.Update(crc32.Checksum(h[:80], castagnoli()), castagnoli(), g.stored) != binary.LittleEndian.Uint32(h[80:]) {
		return group{}, false
	}
	g.sum = sha256.Sum256(h[:g.size])
	return g, true
}

// chunk is a group that is being filled.
type chunk struct {
	plain            []byte
	count            uint32
	first            uint64
	at               artifact.Instant // of the last entry
	earliest, latest int64
	sealed           bool // being written; takes no more
}

// add appends an entry: the kind, then differences to the entry before.
func (c *chunk) add(k Kind, at artifact.Instant, payload []byte) {
	sec, ns := at.Wall.Unix(), wallNS(at.Wall)
	if c.count == 0 {
		c.at = artifact.Instant{Wall: time.Unix(0, 0)}
		c.earliest, c.latest = ns, ns
	}
	c.earliest, c.latest = min(c.earliest, ns), max(c.latest, ns)
	c.plain = append(c.plain, byte(k))
	c.plain = binary.AppendVarint(c.plain, sec-c.at.Wall.Unix())
	c.plain = binary.AppendUvarint(c.plain, uint64(at.Wall.Nanosecond()))
	c.plain = binary.AppendVarint(c.plain, at.BootNS-c.at.BootNS)
	c.plain = binary.AppendUvarint(c.plain, uint64(len(payload)))
	c.plain = append(c.plain, payload...)
	c.count++
	c.at = at
}

var errEntries = errors.New("the entries of the group are not in their form")

// entries calls visit with each entry of the group until it returns false. The bytes
// that it hands out are not used again.
func (g group) entries(dec *zstd.Decoder, bootID string, visit func(Entry) bool) error {
	var plain []byte
	if g.encoding == plainGroup {
		plain = bytes.Clone(g.stored)
	} else {
		var err error
		if plain, err = dec.DecodeAll(g.stored, make([]byte, 0, g.plain)); err != nil {
			return fmt.Errorf("decompress group: %w", err)
		}
		if len(plain) != g.plain {
			return errEntries
		}
	}
	// Twice: nothing of a group is handed out unless all of it is sound.
	if err := parseEntries(plain, g, "", func(Entry) bool { return true }); err != nil {
		return err
	}
	return parseEntries(plain, g, bootID, visit)
}

func parseEntries(b []byte, g group, bootID string, visit func(Entry) bool) error {
	var sec, boot int64
	for i := range g.count {
		if len(b) < minEntry-1 {
			return errEntries
		}
		kind := Kind(b[0])
		b = b[1:]
		var ok [4]bool
		var ds, db int64
		var ns, n uint64
		ds, b, ok[0] = varint(b)
		ns, b, ok[1] = uvarint(b)
		db, b, ok[2] = varint(b)
		n, b, ok[3] = uvarint(b)
		if ok != [4]bool{true, true, true, true} || ns >= 1e9 || n > MaxPayload || n > uint64(len(b)) {
			return errEntries
		}
		sec, boot = sec+ds, boot+db
		e := Entry{Seq: g.first + uint64(i), BootID: bootID, Kind: kind, Payload: b[:n:n]}
		e.At = artifact.Instant{Wall: time.Unix(sec, int64(ns)).UTC(), BootNS: boot}
		b = b[n:]
		if !visit(e) {
			return nil
		}
	}
	if len(b) != 0 {
		return errEntries
	}
	return nil
}

func varint(b []byte) (int64, []byte, bool) {
	v, n := binary.Varint(b)
	return v, b[max(n, 0):], n > 0
}

func uvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	return v, b[max(n, 0):], n > 0
}

func newDecoder() (*zstd.Decoder, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPlain))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	return d, nil
}

func newEncoder() (*zstd.Encoder, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	return e, nil
}
