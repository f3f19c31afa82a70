package procdump

import (
	"context"
	"errors"
	"io"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
	"hozen/agent/internal/probe/winsys"
)

// PC is this PC.
type PC struct {
	// Room is a folder that is made if need be, for what the system writes to be copied.
	Room string
}

// Look implements [System].
func (PC) Look(pid int) (About, error) {
	w, err := winsys.System{}.Whole(pid)
	if errors.Is(err, winscan.ErrGone) {
		err = errEnded
	}
	return About{PID: pid, StartTicks: winbytes.Ticks(w.Created), StartedAt: winbytes.Time(w.Created), Path: w.Path, Committed: w.Committed, Secrets: w.Secrets}, err
}

var errEnded = errors.New("there is none")

// Dump implements [System].
func (p PC) Dump(ctx context.Context, a About, most int64) (io.ReadCloser, error) {
	f, err := winsys.System{}.Dump(ctx, a.PID, a.StartTicks, p.Room, most)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Method implements [System].
func (PC) Method() string { return "MiniDumpWriteDump" }
