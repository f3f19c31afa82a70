package ring

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hozen/internal/durable"
)

// rotate begins a new segment that has room for need bytes: in a new file as long as
// the ring may grow, else in the file of the oldest segment, which needs no space.
func (r *Ring) rotate(first uint64, need int64) error {
	if r.cur != nil {
		err := r.cur.Close() // everything in it is synced
		r.cur = nil
		if err != nil {
			r.cfg.Log.Warn("close segment of the flight record", errAttr(err))
		}
	}
	size := max(r.cfg.SegmentBytes, headerSize+need)
	for len(r.segments) > 0 && (r.total()+size > r.cfg.MaxBytes || len(r.segments) >= r.maxSegments()) {
		if r.segments[0].size == size {
			return r.recycle(first)
		}
		if err := r.removeOldest(); err != nil {
			return err
		}
	}
	err := r.fresh(first, size)
	// A file system that takes nothing in spite of what is given up does not get all.
	for durable.IsFull(err) && len(r.segments) > 0 && r.spent < 2*size {
		oldest := r.segments[0]
		r.spent += oldest.size
		if oldest.size >= headerSize+need {
			err = r.recycle(first)
		} else if err = r.removeOldest(); err == nil {
			err = r.fresh(first, size)
		}
		if len(r.segments) == 0 || r.segments[0].number != oldest.number {
			r.freed(oldest)
		}
	}
	if err == nil {
		r.spent = 0
	}
	return err
}

// maxSegments bounds the number of files, for each boot leaves a shortened one.
func (r *Ring) maxSegments() int { return int(8 * r.cfg.MaxBytes / r.cfg.SegmentBytes) }

// freed tells of a segment that a full disk has cost.
func (r *Ring) freed(s segment) {
	g := Gap{Reason: GapDiskFull, FirstSeq: s.first, LastSeq: s.last}
	switch {
	case s.first != 0:
		g.Entries = s.last - s.first + 1
	case s.sound:
		return // it was empty
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gapSeq = r.nextSeq
	r.stats.Freed += g.Entries
	r.addGap(g, r.lastAt)
}

func (r *Ring) total() int64 {
	var n int64
	for _, s := range r.segments {
		n += s.size
	}
	return n
}

// fresh makes a segment in a new file.
func (r *Ring) fresh(first uint64, size int64) error {
	if r.cfg.MinFree > 0 {
		free, err := durable.Free(r.cfg.Dir)
		if err != nil {
			return err
		}
		if free < uint64(size) || free-uint64(size) < r.cfg.MinFree {
			return fmt.Errorf("leave %d bytes free: %w", r.cfg.MinFree, errNoSpace)
		}
	}
	temp := filepath.Join(r.cfg.Dir, tempName)
	if err := durable.Remove(temp); err != nil {
		return err
	}
	f, err := r.disk.Create(temp, size)
	if err == nil {
		err = r.begin(f, first, size)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("make segment: %w", err), durable.Remove(temp))
	}
	return nil
}

// recycle makes a segment in the file of the oldest one.
func (r *Ring) recycle(first uint64) error {
	temp := filepath.Join(r.cfg.Dir, tempName)
	size := r.segments[0].size
	err := durable.Rename(r.segments[0].path, temp)
	if _, serr := os.Lstat(r.segments[0].path); err == nil || errors.Is(serr, fs.ErrNotExist) {
		r.mu.Lock()
		r.segments = r.segments[1:]
		r.mu.Unlock()
	}
	var f file
	if err == nil {
		f, err = r.disk.Open(temp)
	}
	if err == nil {
		err = r.begin(f, first, size)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("overwrite oldest segment: %w", err), durable.Remove(temp))
	}
	return nil
}

// begin fills the file with zeros and a header, syncs it, gives it its name and goes
// on in it. It closes f. Zeros are written even where the space is there already, for
// then a sync is one write of data and never one of the file system's journal.
func (r *Ring) begin(f file, first uint64, size int64) error {
	h := header{number: 1, first: first, link: r.link, bootID: r.cfg.BootID}
	if n := len(r.segments); n > 0 {
		h.number = r.segments[n-1].number + 1
	} else if r.head.number > 0 {
		h.number = r.head.number + 1
	}
	if _, err := rand.Read(h.marker[:]); err != nil {
		return errors.Join(err, f.Close())
	}
	b := h.append(make([]byte, 0, headerSize))
	b = append(b, b...)
	err := zero(f, headerSize, size)
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	path := segmentPath(r.cfg.Dir, h.number)
	if err := durable.RenameNew(filepath.Join(r.cfg.Dir, tempName), path); err != nil {
		return errors.Join(err, durable.Remove(path)) // it may have the name all the same
	}
	r.head, r.off, r.link = h, headerSize, h.sum
	r.mu.Lock()
	r.segments = append(r.segments, segment{number: h.number, path: path, size: size, used: headerSize, bootID: h.bootID, sound: true})
	r.mu.Unlock()
	if f, err = r.disk.Open(path); err != nil {
		return err
	}
	r.cur = f
	return nil
}
