package procevent

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
	"hozen/agent/internal/recorder/entry"
)

// fresh is how old the process table of Windows may be when a process is asked for that is not
// in it.
const fresh = 200 * time.Millisecond

// tableReader is [Processes] of Windows: the table of all processes, read in one call, and what
// each tells of itself.
type tableReader struct {
	sys  winscan.System
	now  func() time.Time
	read time.Time
	rows map[int]winbytes.Process
	pids []int
	text []byte
	path []byte
	name []byte
}

func newTableReader(sys winscan.System, now func() time.Time) *tableReader {
	return &tableReader{sys: sys, now: now}
}

// PIDs lists the processes in rising order, but for the one that is only idle time.
func (r *tableReader) PIDs() ([]int, error) {
	a, err := r.sys.Processes()
	if err != nil {
		return nil, err
	}
	list, err := winbytes.Processes(a)
	if err != nil && len(list) == 0 {
		return nil, err
	}
	r.read, r.rows, r.pids = r.now(), make(map[int]winbytes.Process, len(list)), r.pids[:0]
	for _, p := range list {
		if p.PID != 0 {
			r.rows[p.PID] = p
			r.pids = append(r.pids, p.PID)
		}
	}
	slices.Sort(r.pids)
	return r.pids, nil
}

// row finds a process in the table, which is read again when it is not there.
func (r *tableReader) row(pid int) (winbytes.Process, bool) {
	p, ok := r.rows[pid]
	if !ok && r.now().Sub(r.read) > fresh {
		_, _ = r.PIDs() // that it is not there is told
		p, ok = r.rows[pid]
	}
	return p, ok
}

// Stat reads parent, start and name; the state is 'S' of whatever is there.
func (r *tableReader) Stat(e *entry.Event) (state byte) {
	p, ok := r.row(e.PID)
	if !ok {
		e.Unread |= entry.UnreadStat | entry.UnreadGone
		return 0
	}
	r.name = append(r.name[:0], p.Name...)
	e.PPID, e.StartTicks, e.Comm, e.Kernel = p.PPID, winbytes.Ticks(p.Created), r.name, p.PID == kernelPID
	return 'S'
}

// kernelPID is the kernel's own process.
const kernelPID = 4

// Read reads all that a start should say.
func (r *tableReader) Read(e *entry.Event) { r.ask(e, true) }

// Plain reads all of that but the command line.
func (r *tableReader) Plain(e *entry.Event) { r.ask(e, false) }

func (r *tableReader) ask(e *entry.Event, line bool) {
	e.UID, e.EUID = -1, -1 // accounts have no numbers
	if r.Stat(e) == 0 {
		e.Unread |= entry.UnreadExe | entry.UnreadCmdline
		return
	}
	if e.Kernel {
		return
	}
	t, err := r.sys.Process(e.PID, r.rows[e.PID].Created)
	if errors.Is(err, winscan.ErrGone) {
		delete(r.rows, e.PID) // the number may belong to another by now
		e.Unread |= entry.UnreadExe | entry.UnreadCmdline | entry.UnreadGone
		return
	}
	if err != nil {
		t.ImageErr, t.LineErr = err, err
	}
	if e.Unread |= why(t.ImageErr, entry.UnreadExe); t.ImageErr == nil {
		path, _ := winbytes.Text16(t.Image)
		r.path = append(r.path[:0], path...)
		e.Exe = r.path[:min(len(r.path), entry.MaxPath)]
	}
	if !line {
		return
	}
	if e.Unread |= why(t.LineErr, entry.UnreadCmdline); t.LineErr == nil {
		text, _ := winbytes.Text(t.CommandLine)
		r.text = r.text[:0]
		for _, a := range winbytes.Args(text) {
			r.text = append(append(r.text, a...), 0)
		}
		e.Cmdline, e.CmdlineCut = r.text[:min(len(r.text), entry.MaxCmdline)], len(r.text) > entry.MaxCmdline
	}
}

func why(err error, what entry.Unread) entry.Unread {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, fs.ErrPermission):
		return what | entry.UnreadDenied
	}
	return what
}

// Find finds nothing: the tables of sockets of Windows name the process themselves.
func (r *tableReader) Find([]int, map[uint32]struct{}, func(inode uint32, pid int)) error {
	return nil
}

// Close has nothing to give back.
func (r *tableReader) Close() error { return nil }
