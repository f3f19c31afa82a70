package exehash

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"hozen/agent/internal/background"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// workers hash at the same time. Two keep a disk busy and leave a PC usable.
const workers = 2

type hasher struct {
	pass  *scan.Pass
	cache *Cache
}

// New returns the probe that hashes what the processes of pass run. The cache may be
// shared by any number of probes.
func New(pass *scan.Pass, cache *Cache) probe.Probe { return hasher{pass, cache} }

func (hasher) Kind() artifact.Kind          { return artifact.KindExeHash }
func (hasher) Schema() string               { return record.SchemaExeHash }
func (hasher) Volatility() probe.Volatility { return probe.Derivable }

// file is one executable and who runs it.
type file struct {
	rec  record.ExeHash
	id   identity
	done chan struct{}
	err  error
}

// Acquire writes a line per executable, by device and inode. Files that could not be
// hashed are written too, with the reason.
func (h hasher) Acquire(ctx context.Context, w probe.Writer) error {
	procs, err := h.pass.Processes(ctx)
	if len(procs) == 0 {
		return err
	}
	files, missing := h.find(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop() // of the workers, when writing breaks off
	queue := make(chan *file, len(files))
	for _, f := range files {
		queue <- f
	}
	close(queue)
	for range workers {
		go func() {
			defer background.Enter(ctx)()
			buf := make([]byte, chunk)
			for f := range queue {
				h.hash(ctx, f, buf)
				close(f.done)
			}
		}()
	}
	var skipped int64
	var first error
	if missing != nil {
		skipped, first = missing.Skipped, missing.Err
	}
	last := farewell // for all that hang together
	for _, f := range files {
		if !f.wait(ctx, last) { // its reading hangs, and the record belongs to the worker
			skipped++
			first = cmp.Or(first, ctx.Err())
			last = 0
			continue
		}
		if f.err != nil {
			skipped++
			first = cmp.Or(first, f.err)
			f.rec.Problem = problem(f.err)
		}
		if err := w.Write(&f.rec); err != nil {
			return err
		}
	}
	if err := cmp.Or(ctx.Err(), first); skipped > 0 {
		return &probe.Missing{Skipped: skipped, Err: fmt.Errorf("hash executables: %w", err)}
	}
	return ctx.Err()
}

// farewell is how long a worker gets, after time is over, to say that it stopped.
const farewell = 50 * time.Millisecond

// wait waits until f is done, and for longest after time is over; false means that it hangs.
func (f *file) wait(ctx context.Context, longest time.Duration) bool {
	select {
	case <-f.done:
		return true
	case <-ctx.Done():
	}
	last := time.NewTimer(longest)
	defer last.Stop()
	select {
	case <-f.done:
		return true
	case <-last.C:
	}
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// problem says in few words why there is no digest; the path stands in the record.
func problem(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	text, _ := record.TextOf(err.Error())
	return text
}
