package ring

import (
	"bytes"
	"fmt"
)

// Damage is a place of the record that can't be read, or where the chain of hashes is
// broken. It is an error.
type Damage struct {
	Segment uint64 // number of the file
	Offset  int64  // in the file
	Bytes   int64  // how many bytes are passed over; 0 when something is missing or does not fit
	Torn    bool   // at the very end: a write that a crash cut short. Nothing before it is touched
	After   uint64 // Seq of the last good entry before; 0 when there is none
	Reason  string // English, for experts
}

// Error implements error.
func (d *Damage) Error() string {
	what := "damaged"
	if d.Torn {
		what = "torn"
	}
	return fmt.Sprintf("flight record %s in segment %d at byte %d (%d bytes, after entry %d): %s", what, d.Segment, d.Offset, d.Bytes, d.After, d.Reason)
}

// chain follows the hashes from group to group and from segment to segment.
type chain struct {
	known   bool // cur is what the next group or header must link to
	cur     hash
	before  hash // one group earlier: a group whose sync failed is written again in the next segment
	number  uint64
	lastSeq uint64
}

// lose says that what comes next can't be compared with what came before.
func (c *chain) lose() { c.known = false }

// enter begins a segment. The damage, if any, is about what lies between.
func (c *chain) enter(h header) *Damage {
	var d *Damage
	switch {
	case c.number != 0 && h.number != c.number+1:
		d = &Damage{Segment: c.number + 1, After: c.lastSeq, Reason: fmt.Sprintf("%d segments are missing", h.number-c.number-1)}
	case c.known && h.link != c.cur && h.link != c.before:
		d = &Damage{Segment: h.number, After: c.lastSeq, Reason: "the segment does not follow the one before"}
	}
	c.number, c.known, c.cur, c.before = h.number, true, h.sum, h.sum
	return d
}

// skip passes over a segment that can't be read.
func (c *chain) skip(number uint64) {
	c.number = number
	c.lose()
}

// walk goes through the groups of one segment: visit gets each sound one; told gets
// what is damaged, before the group that follows it. Either ends the walk by returning
// false. The return value is where the last sound group ends. With tail, damage after
// the last sound group is a torn write.
func (c *chain) walk(h header, b []byte, tail bool, told func(*Damage) bool, visit func(group) bool) (end int) {
	off, end := headerSize, headerSize
	for off < len(b) {
		g, ok := parseGroup(b, off, h.marker)
		if !ok {
			next := off + sector
			for ; next < len(b); next += sector {
				if g, ok = parseGroup(b, next, h.marker); ok {
					break
				}
			}
			next = min(next, len(b))
			if rest := bytes.TrimRight(b[off:next], "\x00"); ok || len(rest) > 0 {
				d := &Damage{Segment: h.number, Offset: int64(off), Bytes: int64(next - off), After: c.lastSeq, Reason: "no sound group where one should be"}
				if !ok {
					d.Bytes, d.Torn = int64(len(rest)), tail
				}
				c.lose()
				if !told(d) {
					return end
				}
			}
			if !ok {
				return end
			}
		}
		if c.known && g.link != c.cur {
			d := &Damage{Segment: h.number, Offset: int64(g.off), After: c.lastSeq, Reason: "the group does not follow the one before"}
			if !told(d) {
				return end
			}
		}
		c.known, c.before, c.cur = true, g.link, g.sum
		more := visit(g)
		c.lastSeq = max(c.lastSeq, g.last())
		off = g.off + align(g.size)
		end = min(off, len(b))
		if !more {
			return end
		}
	}
	return end
}
