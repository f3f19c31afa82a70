package ring

import (
	"bytes"
	"testing"
	"time"

	"hozen/internal/artifact"
)

// FuzzSegment reads foreign bytes as a segment: nothing panics, every place is told
// within the file, and no entry comes out of a group that does not hold together.
func FuzzSegment(f *testing.F) {
	h := header{number: 1, first: 1, marker: marker{1, 2, 3, 4, 5, 6, 7, 8}, bootID: "b"}
	b := h.append(nil)
	b = append(b, b...)
	var c chunk
	c.first = 1
	for i := range 5 {
		c.add(Kind(i), artifact.Instant{Wall: time.Unix(int64(i), 0), BootNS: 5}, []byte("payload"))
	}
	one, sum := appendGroup(nil, h.marker, h.sum, &c, plainGroup, c.plain)
	c.first = 6
	two, _ := appendGroup(nil, h.marker, sum, &c, plainGroup, c.plain)
	f.Add(bytes.Join([][]byte{b, one, two, make([]byte, 700)}, nil))
	f.Add(bytes.Join([][]byte{b, one[:100], two}, nil))
	f.Add(bytes.Join([][]byte{b, make([]byte, 512), two}, nil))
	f.Add([]byte{})
	dec, err := newDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeader(b)
		if err != nil {
			h.marker = marker{1, 2, 3, 4, 5, 6, 7, 8} // the groups are read all the same
		}
		var ch chain
		ch.enter(h)
		covered := int64(headerSize)
		ch.walk(h, b, true, func(d *Damage) bool {
			if d.Offset < covered && d.Bytes > 0 || d.Offset+d.Bytes > int64(len(b)) {
				t.Errorf("%v in %d bytes", d, len(b))
			}
			return true
		}, func(g group) bool {
			if int64(g.off) < covered || g.off+g.size > len(b) {
				t.Errorf("a group at %d of %d bytes", g.off, len(b))
			}
			covered = int64(g.off + g.size)
			_ = g.entries(dec, "b", func(Entry) bool { return true }) // a refusal is an answer
			return true
		})
	})
}

// FuzzEntries puts foreign bytes behind a good CRC: all of the entries or none.
func FuzzEntries(f *testing.F) {
	var c chunk
	c.add(1, artifact.Instant{Wall: time.Unix(5, 6), BootNS: 7}, []byte("payload"))
	c.add(2, artifact.Instant{Wall: time.Unix(5, 7), BootNS: 8}, nil)
	enc, err := newEncoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.plain, uint32(2), false, 0)
	f.Add(enc.EncodeAll(c.plain, nil), uint32(2), true, len(c.plain))
	f.Add(enc.EncodeAll(make([]byte, maxPlain+1), nil), uint32(2), true, maxPlain)
	dec, err := newDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, stored []byte, count uint32, packed bool, plain int) {
		encoding := byte(plainGroup)
		if packed {
			encoding = zstdGroup
		}
		if len(stored) > maxPlain || plain < 0 || plain > 2*maxPlain {
			return
		}
		if !packed {
			plain = len(stored)
		}
		g := chunk{plain: make([]byte, plain), count: count, first: 9}
		b, sum := appendGroup(nil, marker{9}, hash{}, &g, encoding, stored)
		parsed, ok := parseGroup(b, 0, marker{9})
		if !ok {
			return
		}
		if parsed.sum != sum {
			t.Fatal("another hash than was written")
		}
		n := uint32(0)
		err := parsed.entries(dec, "b", func(e Entry) bool {
			if e.Seq != 9+uint64(n) || len(e.Payload) > MaxPayload || e.At.Wall.IsZero() && e.At.Wall.Nanosecond() != 0 {
				t.Errorf("%+v", e)
			}
			n++
			return true
		})
		if (err == nil) != (n == count) || (err != nil && n != 0) {
			t.Errorf("%d entries of %d with %v", n, count, err)
		}
	})
}
