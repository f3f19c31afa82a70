package ring

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
	"hozen/internal/durable"
)

// maxTold bounds the list of damage in a Recovery.
const maxTold = 100

// jump is added to the numbers when the newest segment can't be read, so that no number
// is given twice.
const jump = 1 << 24

// Recovery says what Open found, before anything was appended.
type Recovery struct {
	Last       Position // the last whole entry; zero when there is none
	LastBefore Position // the last whole entry of the newest boot that is not Config.BootID; zero when there is none
	Boots      []Boot   // with whole entries, oldest first, at most the newest 64; that of Config.BootID is left out
	FirstSeq   uint64   // of the oldest entry that is left
	Segments   int
	Bytes      int64     // that they take
	TornBytes  int64     // of a write that a crash cut short; they were cut off
	Damaged    []*Damage // places where something is damaged or missing, at most 100; overwritten segments are none
	Damages    int       // how many places there are
	Resumed    bool      // the newest segment is of this boot and is continued
}

// maxBoots bounds the list of boots in a Recovery.
const maxBoots = 64

// Boot is what is left of one boot.
type Boot struct {
	First time.Time // the earliest wall clock of its entries
	Last  Position  // its last whole entry
}

// Position is where one entry stands.
type Position struct {
	Seq    uint64
	BootID string
	At     artifact.Instant
}

func (r *Recovery) told(d *Damage) bool {
	if d.Torn {
		r.TornBytes += d.Bytes
		return true
	}
	if r.Damages++; len(r.Damaged) < maxTold {
		r.Damaged = append(r.Damaged, d)
	}
	return true
}

// recover reads all segments and makes the newest one ready, or leaves that to the
// first Flush.
func (r *Ring) recover() (Recovery, error) {
	var rec Recovery
	if err := os.Remove(filepath.Join(r.cfg.Dir, tempName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rec, fmt.Errorf("remove unfinished segment: %w", err)
	}
	segments, err := list(r.cfg.Dir)
	if err != nil {
		return rec, err
	}
	dec, err := newDecoder()
	if err != nil {
		return rec, err
	}
	defer dec.Close()
	s := survey{rec: &rec, dec: dec, bootID: r.cfg.BootID}
	for i := range segments {
		s.segment(&segments[i], i == len(segments)-1)
	}
	r.segments, r.link, r.nextSeq, r.lastAt = segments, s.chain.cur, s.chain.lastSeq+1, rec.Last.At
	if n := len(segments); n > 0 {
		if newest := &segments[n-1]; !newest.sound {
			r.nextSeq += jump
		} else if err := r.settle(newest, s.head, rec.TornBytes > 0, &rec); err != nil {
			// Not lost: the next segment goes on where this one ends.
			r.cfg.Log.Warn("settle newest segment of the flight record", slog.Any("error", err))
		}
	}
	rec.Segments = len(segments)
	for _, seg := range segments {
		rec.Bytes += seg.size
	}
	return rec, nil
}

// settle cuts the torn tail of the newest segment: in this boot's to go on with it,
// in an older one's to give back the space that it will never use.
func (r *Ring) settle(newest *segment, h header, torn bool, rec *Recovery) error {
	same := r.cfg.BootID != "" && h.bootID == r.cfg.BootID
	if !same && newest.used == newest.size {
		return nil
	}
	f, err := r.disk.Open(newest.path)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	if !same {
		err = f.Truncate(newest.used)
		if err == nil {
			err = f.Sync()
		}
		if err = errors.Join(err, f.Close()); err == nil {
			newest.size = newest.used
		}
		return err
	}
	if torn {
		err = zero(f, newest.used, newest.size)
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("cut torn tail: %w", err), f.Close())
		}
	}
	r.cur, r.head, r.off, rec.Resumed = f, h, newest.used, true
	return nil
}

// survey is the reading of all segments at Open.
type survey struct {
	rec    *Recovery
	dec    *zstd.Decoder
	bootID string
	chain  chain
	head   header
	buf    []byte
}

func (s *survey) segment(seg *segment, newest bool) {
	b, err := readSegment(seg.path, s.buf)
	s.buf = b
	var h header
	if err == nil {
		h, err = parseHeader(b)
	}
	if err == nil && h.number != seg.number {
		err = fmt.Errorf("the file holds segment %d", h.number)
	}
	if err != nil {
		s.rec.told(&Damage{Segment: seg.number, Bytes: seg.size, After: s.chain.lastSeq, Reason: err.Error()})
		s.chain.skip(seg.number)
		return
	}
	if d := s.chain.enter(h); d != nil {
		s.rec.told(d)
	}
	var last group
	var earliest int64
	seg.bootID, seg.sound = h.bootID, true
	end := s.chain.walk(h, b, newest, s.rec.told, func(g group) bool {
		if seg.first == 0 {
			seg.first, seg.latest = g.first, g.latest
			earliest = g.earliest
		}
		earliest = min(earliest, g.earliest)
		if s.rec.FirstSeq == 0 {
			s.rec.FirstSeq = g.first
		}
		seg.last, seg.latest = g.last(), max(seg.latest, g.latest)
		last = g
		return true
	})
	seg.used, s.head = int64(end), h
	if last.count == 0 {
		return
	}
	err = last.entries(s.dec, h.bootID, func(e Entry) bool {
		s.rec.Last = Position{Seq: e.Seq, BootID: e.BootID, At: e.At}
		return true
	})
	if err != nil {
		s.rec.told(&Damage{Segment: seg.number, Offset: int64(last.off), After: last.first - 1, Reason: err.Error()})
	} else if h.bootID != s.bootID {
		s.rec.LastBefore = s.rec.Last
		s.boot(earliest)
	}
}

// boot notes the entries of an earlier boot, the last of which was just read.
func (s *survey) boot(earliest int64) {
	first, last := time.Unix(0, earliest).UTC(), s.rec.Last
	if n := len(s.rec.Boots); n > 0 && s.rec.Boots[n-1].Last.BootID == last.BootID {
		b := &s.rec.Boots[n-1]
		if b.Last = last; first.Before(b.First) {
			b.First = first
		}
		return
	}
	if s.rec.Boots = append(s.rec.Boots, Boot{first, last}); len(s.rec.Boots) > maxBoots {
		s.rec.Boots = s.rec.Boots[1:]
	}
}

// readSegment reads a file of the ring into b, which grows as needed. A file that is
// larger than a segment can be is read in part.
func readSegment(path string, b []byte) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return b[:0], err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return b[:0], err
	}
	n := int(min(fi.Size(), maxSegment+headerSize))
	if cap(b) < n {
		b = make([]byte, n)
	}
	b = b[:n]
	if n, err = f.ReadAt(b, 0); n < len(b) {
		return b[:n], fmt.Errorf("read segment: %w", err)
	}
	return b, nil
}

// removeOldest deletes the oldest segment.
func (r *Ring) removeOldest() error {
	if err := durable.Remove(r.segments[0].path); err != nil {
		return err
	}
	r.mu.Lock()
	r.segments = r.segments[1:]
	r.mu.Unlock()
	return nil
}
