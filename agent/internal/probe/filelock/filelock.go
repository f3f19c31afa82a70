package filelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type reader struct{ pass *scan.Pass }

// New returns the probe that reads the locks and finds their processes in pass.
func New(pass *scan.Pass) probe.Probe { return reader{pass} }

func (reader) Kind() artifact.Kind          { return artifact.KindFileLock }
func (reader) Schema() string               { return record.SchemaFileLock }
func (reader) Volatility() probe.Volatility { return probe.Handles }

var errOdd = errors.New("lines of /proc/locks not understood")

// Acquire writes a line per lock, in the kernel's order.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	b, err := read()
	if err != nil {
		return err
	}
	locks, bad := Parse(b)
	procs, err := r.pass.Processes(ctx)
	if len(procs) == 0 && err != nil {
		return err
	}
	at := make(map[int]*record.Process, len(procs))
	for _, p := range procs {
		at[p.PID] = p
	}
	var denied int64
	known := make(map[int][]opened)
	for i := range locks {
		l := &locks[i]
		if p := at[l.PID]; p != nil && ctx.Err() == nil {
			l.StartTicks, l.Comm = p.StartTicks, p.Comm
			files, ok := known[p.PID]
			if !ok {
				if files, err = open(ctx, p.PID); errors.Is(err, fs.ErrPermission) {
					denied++
				}
				known[p.PID] = files
			}
			if f := match(files, l); f != nil {
				l.Path, l.PathRaw = record.Text(f.path)
			}
		}
		if err := w.Write(l); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return &probe.Missing{Skipped: int64(bad) + denied, Err: fmt.Errorf("find the files of locks: %w", ctx.Err())}
	case denied > 0:
		return &probe.Missing{Skipped: int64(bad) + denied, Err: fmt.Errorf("find the files of locks: those of %d processes refused: %w", denied, fs.ErrPermission)}
	case bad > 0:
		return &probe.Missing{Skipped: int64(bad), Err: errOdd}
	}
	return nil
}

// opened is a descriptor of a process.
type opened struct {
	dev   string // as /proc/locks writes it
	inode uint64
	path  []byte
}

// match finds the file of a lock: by device and inode, else by inode alone.
func match(files []opened, l *record.FileLock) *opened {
	var other *opened
	for i := range files {
		if f := &files[i]; f.inode == l.Inode {
			if f.dev == l.Dev {
				return f
			}
			other = f
		}
	}
	return other
}
