// Package ring keeps the flight recorder's last hours on disk: a bounded, synced,
// hash-linked ring of entries that survives a killed agent, a full disk, power loss and
// a torn write. It knows nothing of what the entries mean, of processes or of evidence.
//
// The bytes, the rules of recovery and what is not promised are in
// internal/docs/design/flight-recorder.md.
package ring

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
	"hozen/internal/durable"
)

// Kind is one byte chosen by the recorder, from 1 on.
type Kind uint8

// KindGap is the ring's own: the entry says what was lost at this place, see [Gap].
const KindGap Kind = 0

// Entry is one thing that was recorded.
type Entry struct {
	Seq     uint64 // from 1 on, rising; one higher than the entry before, unless damage was in between
	BootID  string // of the boot in which it was recorded
	At      artifact.Instant
	Kind    Kind
	Payload []byte // the caller's to keep
}

// Limits of what one ring takes.
const (
	MaxPayload = 64 << 10 // bytes of one entry
	MaxBootID  = 64       // bytes
)

// Config is what a ring needs.
type Config struct {
	// Dir holds the segments and nothing else; it is made when it is not there. One
	// process at a time may have it open.
	Dir string
	// MaxBytes bounds all segments together. Default 32 MiB; at least four segments and
	// 512 KiB.
	MaxBytes int64
	// SegmentBytes is the size of one file, all of it taken from the disk when the file
	// is made. It is also what is lost at once when the ring is full. Default 1 MiB,
	// from 4 KiB to 16 MiB.
	SegmentBytes int64
	// BufferBytes bounds the entries that wait for Flush, before compression. Default
	// 512 KiB; at least 80 KiB.
	BufferBytes int
	// BootID names this boot. Entries of another boot never share a segment with it.
	// When it is empty, every Open counts as a boot of its own.
	BootID string
	// MinFree is how many bytes the ring leaves free in its file system: with less, it
	// overwrites its oldest segment instead of growing. Default 0.
	MinFree uint64
	// Log hears of trouble that is not lost by going on. Optional.
	Log *slog.Logger
}

// Errors that a caller acts on.
var (
	ErrInUse      = errors.New("another process has this flight record open")
	ErrClosed     = errors.New("the flight record is closed")
	ErrBufferFull = errors.New("the buffer of the flight record is full")
	ErrEntry      = errors.New("not an entry that the flight record takes")
)

// Ring is an open flight record. Its methods may be called from any goroutine.
type Ring struct {
	cfg  Config
	disk disk
	lock *os.File
	wake chan struct{}

	flushing sync.Mutex // held by whoever writes; taken before mu
	cur      file       // the segment that grows, nil when there is none
	head     header     // of cur
	off      int64      // where the next group goes in cur
	spent    int64      // bytes of segments given up for space that did not help yet
	gapSeq   uint64     // of the newest entry that tells of a full disk
	link     hash       // of the last group or header that is on disk
	enc      *zstd.Encoder
	frame    []byte // reused by encodeGroup
	packed   []byte // reused by the compressor

	mu       sync.Mutex
	closed   bool
	segments []segment // oldest first
	pending  []*chunk  // not yet on disk, oldest first
	buffered int       // bytes in pending
	nextSeq  uint64
	lastAt   artifact.Instant
	loss     loss
	stats    Stats
}

// Stats is what a ring has done since it was opened.
type Stats struct {
	Segments int
	Bytes    int64  // that the segments take
	Buffered int    // bytes that wait for Flush
	NextSeq  uint64 // of the next entry
	Groups   uint64 // written and synced
	Written  int64  // bytes of these, padding included
	Lost     uint64 // entries that found the buffer full
	Freed    uint64 // entries overwritten early because the disk was full
}

// Stats returns the figures.
func (r *Ring) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Segments, s.Buffered, s.NextSeq = len(r.segments), r.buffered, r.nextSeq
	for _, seg := range r.segments {
		s.Bytes += seg.size
	}
	return s
}

// Wake is told when the buffer is half full, so that its owner flushes before the
// next regular time. It never closes.
func (r *Ring) Wake() <-chan struct{} { return r.wake }

// Close flushes and ends the use of the ring. The error is that of Flush.
func (r *Ring) Close() error {
	err := r.Flush()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	r.flushing.Lock()
	defer r.flushing.Unlock()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	if r.cur != nil {
		err = errors.Join(err, r.cur.Close())
		r.cur = nil
	}
	if r.enc != nil {
		err = errors.Join(err, r.enc.Close())
		r.enc = nil
	}
	return errors.Join(err, r.lock.Close())
}

// Open opens the ring in cfg.Dir and repairs what a crash left: a torn tail is cut,
// unfinished files go. Damage elsewhere is told in the Recovery and left as it is; it
// is no error. Another process's ring fails with [ErrInUse].
//
// Everything is read and checked once, so this takes some 100 ms with a full ring.
func Open(cfg Config) (*Ring, Recovery, error) { return open(cfg, osDisk{}) }

func open(cfg Config, d disk) (*Ring, Recovery, error) {
	if err := cfg.defaults(); err != nil {
		return nil, Recovery{}, fmt.Errorf("open flight record: %w", err)
	}
	if err := durable.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, Recovery{}, fmt.Errorf("open flight record: %w", err)
	}
	lock, err := lockFolder(filepath.Join(cfg.Dir, lockName))
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("open flight record %q: %w", cfg.Dir, err)
	}
	r := &Ring{cfg: cfg, disk: d, lock: lock, wake: make(chan struct{}, 1)}
	rec, err := r.recover()
	if err != nil {
		return nil, Recovery{}, errors.Join(fmt.Errorf("open flight record %q: %w", cfg.Dir, err), lock.Close())
	}
	return r, rec, nil
}

func (c *Config) defaults() error {
	if c.MaxBytes == 0 {
		c.MaxBytes = 32 << 20
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = 1 << 20
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = 512 << 10
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.SegmentBytes < 4<<10 || c.SegmentBytes > maxSegment:
		return fmt.Errorf("segments of %d bytes", c.SegmentBytes)
	case c.MaxBytes < max(4*c.SegmentBytes, 512<<10):
		return fmt.Errorf("%d bytes in all, in segments of %d, are too few", c.MaxBytes, c.SegmentBytes)
	case c.BufferBytes < 80<<10:
		return fmt.Errorf("a buffer of %d bytes", c.BufferBytes)
	case len(c.BootID) > MaxBootID:
		return fmt.Errorf("boot id %.80q", c.BootID)
	}
	c.SegmentBytes = align(c.SegmentBytes)
	return nil
}

// Gap is the payload of a [KindGap] entry.
type Gap struct {
	Reason   string           `json:"reason"`
	Entries  uint64           `json:"entries"`             // how many were lost
	Bytes    uint64           `json:"bytes,omitempty"`     // of their payloads, where known
	FirstSeq uint64           `json:"first_seq,omitempty"` // what was overwritten early; entries that found the buffer full never had a number
	LastSeq  uint64           `json:"last_seq,omitempty"`
	From     artifact.Instant `json:"from,omitzero"` // instants of the first and the last entry lost, where known
	Until    artifact.Instant `json:"until,omitzero"`
}

// The reasons of a gap.
const (
	GapBufferFull = "buffer_full" // more came in than could be written
	GapDiskFull   = "disk_full"   // the oldest segment was overwritten before its time
)

// Gap reads what an entry of kind [KindGap] says; with another kind it fails with
// [ErrEntry].
func (e Entry) Gap() (Gap, error) {
	if e.Kind != KindGap {
		return Gap{}, fmt.Errorf("read entry of kind %d as gap: %w", e.Kind, ErrEntry)
	}
	var g Gap
	if err := json.Unmarshal(e.Payload, &g); err != nil {
		return Gap{}, fmt.Errorf("read gap: %w", err)
	}
	return g, nil
}

// wallNS is the wall clock as nanoseconds since 1970, at the ends where it does not fit.
func wallNS(t time.Time) int64 {
	const limit = 9_000_000_000 // seconds, in the year 2255
	switch s := t.Unix(); {
	case s > limit:
		return limit * 1e9
	case s < -limit:
		return -limit * 1e9
	}
	return t.UnixNano()
}
