package winscan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/winbytes"
	"hozen/internal/artifact/record"
)

// Handles is what a PC is asked for of handles; winsys.Handles is one.
type Handles interface {
	// Table is the answer of NtQuerySystemInformation(SystemExtendedHandleInformation).
	Table() (winbytes.Answer, error)
	// Process begins with the handles of the process that was created at that moment; the
	// error is as that of [System.Process].
	Process(pid int, created int64) (Namer, error)
}

// Namer says what handles of one process refer to.
type Namer interface {
	// Name asks for one. silent says that the system did not answer in time.
	Name(h winbytes.Handle) (n Name, silent bool)
	Close()
}

// Name is what a handle refers to.
type Name struct {
	Kind   string // the type, such as File
	Target string
	Exact  []byte // of the target, where it is not UTF-16
}

// maxHandles bounds the handles that are told of one process.
const maxHandles = 1 << 16

// Files returns the handles that have a name, of every process, by PID; how many others there
// are is told by the process table.
func (s *Scan) Files(ctx context.Context, sys Handles) ([]record.OpenFiles, error) {
	if err := s.table(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	a, err := sys.Table()
	if err != nil {
		return nil, fmt.Errorf("read table of handles: %w", err)
	}
	all, broken := winbytes.Handles(a)
	slices.SortStableFunc(all, func(a, b winbytes.Handle) int { return a.PID - b.PID })
	var list []record.OpenFiles
	var denied, silent, unreached, cut int64
	for i := range s.all {
		p := s.all[i]
		from, _ := slices.BinarySearchFunc(all, p.PID, func(h winbytes.Handle, pid int) int { return h.PID - pid })
		to, _ := slices.BinarySearchFunc(all, p.PID+1, func(h winbytes.Handle, pid int) int { return h.PID - pid })
		if p.PID == idlePID || from == to {
			continue
		}
		if ctx.Err() != nil {
			unreached++
			continue
		}
		namer, err := sys.Process(p.PID, s.rows[i].Created)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			denied++
			continue
		}
		o := record.OpenFiles{PID: p.PID, StartTicks: p.StartTicks, Comm: p.Comm, FDs: []record.FD{}}
		silent += named(ctx, namer, all[from:to], &o)
		namer.Close()
		if o.Cut {
			cut++
		}
		list = append(list, o)
	}
	if denied+silent+unreached+cut == 0 && broken == nil {
		return list, ctx.Err()
	}
	why := errors.Join(ctx.Err(), broken)
	if why == nil && denied > 0 {
		why = fs.ErrPermission
	}
	if why == nil {
		why = errors.New("the system did not answer in time")
	}
	return list, &probe.Missing{Skipped: denied + silent + unreached + cut, Err: fmt.Errorf(
		"read handles: %d processes refused, %d names not told, %d processes not reached, %d cut: %w", denied, silent, unreached, cut, why)}
}

// named fills in the handles of one process, and counts those whose name was not told in time.
func named(ctx context.Context, namer Namer, handles []winbytes.Handle, o *record.OpenFiles) (silent int64) {
	for _, h := range handles {
		if ctx.Err() != nil || len(o.FDs) == maxHandles {
			o.Cut = true
			return silent
		}
		n, mute := namer.Name(h)
		if mute {
			silent++
		}
		if n.Target == "" && !mute {
			continue
		}
		o.FDs = append(o.FDs, record.FD{FD: int(h.Value), Target: n.Target, TargetRaw: n.Exact, Kind: n.Kind, Access: fmt.Sprintf("%x", h.Access), Silent: mute})
	}
	return silent
}
