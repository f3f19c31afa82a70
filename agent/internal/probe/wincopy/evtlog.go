package wincopy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"sync/atomic"
	"time"

	"hozen/internal/winapi/evt"
)

const (
	// exportLimit is how long the export of one log may take.
	exportLimit = 20 * time.Second
	// exportTries is how often a log is exported until what comes of it fits.
	exportTries = 3
	// exportLeast is the least room with which an export is begun.
	exportLeast = mib
)

var (
	errBusy   = errors.New("the export of another log has not ended yet")
	errNoRoom = errors.New("not enough room on the disk")
	errLarge  = errors.New("what is exported is too large")
)

// lone lets one export be under way at a time: the service that exports cannot be told to stop.
type lone struct{ busy atomic.Bool }

// do waits for an export for a while. One that ends later is closed.
func (l *lone) do(ctx context.Context, export func() (File, error)) (File, error) {
	if !l.busy.CompareAndSwap(false, true) {
		return nil, errBusy
	}
	type answer struct {
		f   File
		err error
	}
	done, gone := make(chan answer), make(chan struct{})
	defer close(gone)
	go func() {
		f, err := export()
		l.busy.Store(false)
		select {
		case done <- answer{f, err}:
		case <-gone:
			if err == nil {
				_ = f.Close() // nobody wants it any more
			}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, exportLimit)
	defer cancel()
	select {
	case a := <-done:
		return a.f, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fitting exports what fits into most bytes of a log: all of it, or its newest events.
func fitting(l evt.Log, most int64, export func(query string) (File, error)) (File, error) {
	if most < exportLeast {
		return nil, errNoRoom
	}
	keep := l.Count
	if l.Size > most {
		keep = fit(keep, l.Size, most)
	}
	for range exportTries {
		query := "*"
		switch {
		case keep < l.Count:
			query = "*[System[EventRecordID > " + strconv.FormatUint(l.Oldest+(l.Count-keep)-1, 10) + "]]"
		case l.Size > most:
			return nil, fmt.Errorf("%w: %d bytes", errLarge, l.Size) // and nobody knows how many events
		}
		f, err := export(query)
		if err != nil {
			return nil, err
		}
		st, err := f.Status()
		switch {
		case err == nil && st.Size <= most && keep < l.Count:
			return newest{f}, nil
		case err == nil && st.Size <= most:
			return f, nil
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		l.Size, keep = max(l.Size, st.Size), fit(keep, st.Size, most)
	}
	return nil, errLarge
}

// fit is how many events fit into most bytes, if count of them took size, and a quarter less:
// not all are alike, and others are written meanwhile. At least one.
func fit(count uint64, size, most int64) uint64 {
	return min(count, max(1, uint64(float64(count)*float64(most)/float64(size)*3/4)))
}

// newest is the end of a log alone.
type newest struct{ File }

// Status implements [File].
func (n newest) Status() (Status, error) {
	st, err := n.File.Status()
	st.Newest = true
	return st, err
}

// A file of events is a header and chunks, each with the numbers of its first and last event
// (https://github.com/libyal/libevtx, "Windows XML Event Log (EVTX)").
const (
	evtxHeader    = 4096
	evtxChunk     = 64 * kib
	evtxChunkHead = 40
	evtxLast      = 32
	evtxMagic     = "ElfChnk\x00"
)

// lastOf reads the number of the last event of a chunk from its head; 0 of what is none.
func lastOf(b []byte) uint64 {
	if len(b) < evtxChunkHead || string(b[:len(evtxMagic)]) != evtxMagic {
		return 0
	}
	return binary.LittleEndian.Uint64(b[evtxLast:])
}

// endOf is where the newest part of a longer file begins that fits into limit bytes. A log of
// events goes round when it is full, so that its newest events can lie anywhere: the part is
// then whole chunks, up to the one after that with the highest numbers, for the system has what
// comes last in memory first.
func endOf(g io.ReadSeeker, log bool, size, limit int64) (from int64, err error) {
	if !log || limit < 2*evtxChunk {
		return size - limit, nil
	}
	chunks := int((size - evtxHeader) / evtxChunk)
	last := func(i int) uint64 {
		b := make([]byte, evtxChunkHead)
		if _, serr := g.Seek(evtxHeader+int64(i)*evtxChunk, io.SeekStart); serr != nil {
			err = serr
			return 0
		}
		if _, rerr := io.ReadFull(g, b); rerr != nil {
			err = rerr
			return 0
		}
		return lastOf(b)
	}
	first := last(0)
	end := sort.Search(chunks, func(i int) bool { return last(i) < first })
	if err != nil {
		return 0, fmt.Errorf("look for the newest events: %w", err)
	}
	end = min(end+1, chunks)
	return max(0, evtxHeader+int64(end)*evtxChunk-limit/evtxChunk*evtxChunk), nil
}
