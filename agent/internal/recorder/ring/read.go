package ring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
)

// ReadFrom says what to read; what is zero does not restrict.
type ReadFrom struct {
	SinceSeq uint64    // entries with this number or a higher one
	Since    time.Time // entries whose wall clock was not before this, as it was recorded
	BootID   string    // entries of this boot
}

func (f ReadFrom) wants(e Entry) bool {
	return e.Seq >= f.SinceSeq && (f.Since.IsZero() || !e.At.Wall.Before(f.Since)) && (f.BootID == "" || e.BootID == f.BootID)
}

// may reports whether entries up to this number, time and of this boot can be wanted.
func (f ReadFrom) may(last uint64, latest int64, bootID string) bool {
	return last >= f.SinceSeq && (f.Since.IsZero() || latest >= wallNS(f.Since)) && (f.BootID == "" || bootID == f.BootID)
}

// Read goes through the entries, oldest first, those included that are not flushed yet.
// It reads what is there when the loop begins; what the ring overwrites meanwhile is
// left out. CRC and hashes are checked, the chain from the first segment read on. A
// damaged place is an error of type *[Damage], after which it goes on with what comes
// next; any other error ends it.
//
// A number that was never flushed may be given again after a crash: flush first when
// what is read is to be kept.
func (r *Ring) Read(ctx context.Context, from ReadFrom) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r.mu.Lock()
		if r.closed {
			r.mu.Unlock()
			yield(Entry{}, ErrClosed)
			return
		}
		segments := append([]segment(nil), r.segments...)
		var waiting []chunk
		for _, c := range r.pending {
			w := *c
			w.plain = append([]byte(nil), c.plain...)
			waiting = append(waiting, w)
		}
		r.mu.Unlock()
		rd := reader{ctx: ctx, from: from, yield: yield}
		if !rd.segments(segments, true) {
			return
		}
		for _, c := range waiting {
			g := group{plain: len(c.plain), count: c.count, first: c.first, earliest: c.earliest, latest: c.latest, stored: c.plain}
			if !rd.group(g, r.cfg.BootID) {
				return
			}
		}
	}
}

// ReadDir is [Ring.Read] for a folder whose ring may be open in another process, or in
// none: nothing is locked or changed. A torn write at the end is a *[Damage] with Torn
// set; while another process writes, the write under way can look like that.
func ReadDir(ctx context.Context, dir string, from ReadFrom) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		segments, err := list(dir)
		if err != nil {
			yield(Entry{}, fmt.Errorf("read flight record: %w", err))
			return
		}
		rd := reader{ctx: ctx, from: from, yield: yield}
		rd.segments(segments, false)
	}
}

// reader is one pass over the entries. Its methods return false when it is to end.
type reader struct {
	ctx   context.Context
	from  ReadFrom
	yield func(Entry, error) bool
	dec   *zstd.Decoder
	chain chain
	buf   []byte
}

// segments reads all of them; indexed tells that what they hold is known, so that
// those without anything wanted need not be opened.
func (r *reader) segments(all []segment, indexed bool) bool {
	dec, err := newDecoder()
	if err != nil {
		r.yield(Entry{}, err)
		return false
	}
	r.dec = dec
	defer dec.Close()
	for i, seg := range all {
		if err := r.ctx.Err(); err != nil {
			r.yield(Entry{}, err)
			return false
		}
		if indexed && seg.sound && !r.from.may(seg.last, seg.latest, seg.bootID) {
			r.chain.skip(seg.number)
			continue
		}
		if !r.segment(seg, i == len(all)-1) {
			return false
		}
	}
	return true
}

func (r *reader) segment(seg segment, newest bool) bool {
	b, err := readSegment(seg.path, r.buf)
	r.buf = b
	if overwritten(seg, err) {
		r.chain = chain{lastSeq: r.chain.lastSeq}
		return true
	}
	if seg.used > 0 && int64(len(b)) > seg.used {
		b = b[:seg.used] // what is written behind it since is not ours to judge
	}
	var h header
	if err == nil {
		h, err = parseHeader(b)
	}
	if err == nil && h.number != seg.number {
		err = fmt.Errorf("the file holds segment %d", h.number)
	}
	if err != nil {
		d := &Damage{Segment: seg.number, Bytes: seg.size, After: r.chain.lastSeq, Reason: err.Error()}
		r.chain.skip(seg.number)
		return r.yield(Entry{}, d)
	}
	if d := r.chain.enter(h); d != nil && !r.yield(Entry{}, d) {
		return false
	}
	more := true
	r.chain.walk(h, b, newest, func(d *Damage) bool {
		more = r.yield(Entry{}, d)
		return more
	}, func(g group) bool {
		if !r.from.may(g.last(), g.latest, h.bootID) {
			return true
		}
		if err := r.ctx.Err(); err != nil {
			r.yield(Entry{}, err)
			more = false
		} else {
			more = r.group(g, h.bootID)
		}
		return more
	})
	return more
}

// group hands out the entries that are wanted. One that was written twice, because the
// first sync failed, is handed out once.
func (r *reader) group(g group, bootID string) bool {
	more := true
	err := g.entries(r.dec, bootID, func(e Entry) bool {
		if e.Seq > r.chain.lastSeq && r.from.wants(e) {
			more = r.yield(e, nil)
		}
		return more
	})
	if err != nil {
		more = r.yield(Entry{}, &Damage{Segment: r.chain.number, Offset: int64(g.off), Bytes: int64(g.size), After: r.chain.lastSeq, Reason: err.Error()})
	}
	return more
}

// overwritten reports whether the file that was read, or not, has gone since: the ring
// went on over it, which is no damage.
func overwritten(seg segment, err error) bool {
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	_, err = os.Lstat(seg.path)
	return errors.Is(err, fs.ErrNotExist)
}
