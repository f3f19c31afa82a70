package ring

import (
	"errors"
	"fmt"

	"hozen/internal/durable"
)

// Flush writes what is buffered and returns when it is on disk: after nil, a crash or a
// power cut takes none of it. A full disk first costs the ring its own oldest segment,
// which a [KindGap] entry tells; when that doesn't help either, the error satisfies
// durable.IsFull. After an error the entries are still buffered and the next Flush
// tries again, in a new file.
func (r *Ring) Flush() error {
	r.flushing.Lock()
	defer r.flushing.Unlock()
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return ErrClosed
	}
	r.noteLoss()
	last := r.nextSeq - 1
	r.mu.Unlock()
	for {
		r.mu.Lock()
		var c *chunk
		if len(r.pending) > 0 && r.pending[0].first <= last {
			c = r.pending[0]
			c.sealed = true
		}
		r.mu.Unlock()
		if c == nil {
			return nil
		}
		if err := r.write(c); err != nil {
			return fmt.Errorf("flush flight record: %w", err)
		}
		last = max(last, r.gapSeq) // a gap that was told meanwhile goes out too
	}
}

// write puts one chunk on disk as one group. A file in which a write or a sync failed
// is never written to again (Rebello et al., ATC 2020): the second attempt is made in
// a new one.
func (r *Ring) write(c *chunk) error {
	encoding, stored, err := r.compress(c)
	if err != nil {
		return err
	}
	for attempt := range 2 {
		if r.cur == nil || r.off+align(int64(groupHeader+len(stored))) > r.segments[len(r.segments)-1].size {
			if err := r.rotate(c.first, align(int64(groupHeader+len(stored)))); err != nil {
				return err
			}
		}
		var sum hash
		r.frame, sum = appendGroup(r.frame[:0], r.head.marker, r.link, c, encoding, stored)
		_, err = r.cur.WriteAt(r.frame, r.off)
		if err == nil {
			err = r.cur.Sync()
		}
		if err == nil {
			r.commit(c, sum)
			return nil
		}
		err = fmt.Errorf("write segment %d: %w", r.head.number, err)
		if aerr := r.abandon(); aerr != nil && attempt > 0 {
			err = errors.Join(err, aerr)
		}
	}
	return err
}

// keep bounds the memory that is held between two flushes.
const keep = 64 << 10

func (r *Ring) compress(c *chunk) (encoding byte, stored []byte, err error) {
	if r.enc == nil {
		if r.enc, err = newEncoder(); err != nil {
			return 0, nil, err
		}
	}
	r.packed = r.enc.EncodeAll(c.plain, r.packed[:0])
	if len(r.packed) >= len(c.plain) {
		return plainGroup, c.plain, nil
	}
	return zstdGroup, r.packed, nil
}

// commit notes that the chunk is on disk, in the same step for all readers.
func (r *Ring) commit(c *chunk, sum hash) {
	r.link = sum
	r.off += int64(len(r.frame))
	r.mu.Lock()
	defer r.mu.Unlock()
	seg := &r.segments[len(r.segments)-1]
	seg.used = r.off
	if seg.first == 0 {
		seg.first, seg.latest = c.first, c.latest
	}
	seg.last, seg.latest = c.first+uint64(c.count)-1, max(seg.latest, c.latest)
	r.pending = r.pending[1:]
	r.buffered -= len(c.plain)
	r.stats.Groups++
	r.stats.Written += int64(len(r.frame))
	if len(r.pending) == 0 {
		r.pending = nil
	}
	if cap(r.frame) > keep {
		r.frame = nil
	}
	if cap(r.packed) > keep {
		r.packed = nil
	}
}

// abandon gives up the current segment after a failed write, at what was promised: the
// rest is cut off. Without anything promised it goes altogether, so that a disk that
// fails for an hour does not cost the ring its older segments.
func (r *Ring) abandon() error {
	f := r.cur
	r.cur = nil
	seg := r.segments[len(r.segments)-1]
	if seg.first != 0 {
		err := errors.Join(f.Truncate(r.off), f.Close())
		if err == nil {
			r.resize(r.off)
		}
		return err
	}
	err := errors.Join(f.Close(), durable.Remove(seg.path))
	if err == nil {
		r.mu.Lock()
		r.segments = r.segments[:len(r.segments)-1]
		r.mu.Unlock()
		r.link = r.head.link
	}
	return err
}

func (r *Ring) resize(n int64) {
	r.mu.Lock()
	r.segments[len(r.segments)-1].size = n
	r.mu.Unlock()
}
