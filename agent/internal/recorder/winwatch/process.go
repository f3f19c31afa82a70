package winwatch

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
	"hozen/agent/internal/recorder/entry"
)

// Processes is the process table as it was last looked at. Its readers share it: a look
// is one consistent reading of all processes.
type Processes struct {
	sys System

	mu   sync.Mutex
	rows map[int]winbytes.Process
}

// NewProcesses returns a table that nobody looked at yet.
func NewProcesses(sys System) *Processes { return &Processes{sys: sys} }

// Reader reads one process after the other. It is for one goroutine.
type Reader struct{ all *Processes }

// Reader returns a reader of the table.
func (p *Processes) Reader() *Reader { return &Reader{p} }

// systemPID is the kernel's own process, besides the idle one, which is none.
const systemPID = 4

// PIDs looks at the table and lists the processes in rising order.
func (r *Reader) PIDs() ([]int, error) {
	a, err := r.all.sys.Processes()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	list, err := winbytes.Processes(a)
	if err != nil { // half a table would end the other half
		return nil, fmt.Errorf("list processes: %w", err)
	}
	rows := make(map[int]winbytes.Process, len(list))
	pids := make([]int, 0, len(list))
	for _, row := range list {
		if row.PID > 0 {
			rows[row.PID] = row
			pids = append(pids, row.PID)
		}
	}
	slices.Sort(pids)
	r.all.mu.Lock()
	r.all.rows = rows
	r.all.mu.Unlock()
	return slices.Compact(pids), nil
}

func (p *Processes) row(pid int) (winbytes.Process, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	row, ok := p.rows[pid]
	return row, ok
}

// Stat tells of process e.PID what the table told: parent, creation and name. The state is
// 'R' for one that stood in the table.
func (r *Reader) Stat(e *entry.Event) (state byte) {
	row, ok := r.all.row(e.PID)
	if !ok {
		e.Unread |= entry.UnreadStat | entry.UnreadGone
		return 0
	}
	e.PPID, e.StartTicks, e.Comm, e.Kernel = row.PPID, winbytes.Ticks(row.Created), []byte(row.Name), row.PID == systemPID
	return 'R'
}

// Plain tells what the table told; the process itself is not asked.
func (r *Reader) Plain(e *entry.Event) {
	if r.Stat(e); !e.Kernel {
		e.Unread |= entry.UnreadExe
	}
}

// Read tells of process e.PID what a start should say.
func (r *Reader) Read(e *entry.Event) {
	if r.Stat(e); e.Unread&entry.UnreadGone != 0 {
		e.Unread |= entry.UnreadExe | entry.UnreadCmdline
		return
	}
	if e.Kernel {
		return
	}
	row, _ := r.all.row(e.PID)
	t, err := r.all.sys.Process(e.PID, row.Created)
	if err != nil {
		t.LineErr, t.ImageErr = err, err
	}
	note(e, entry.UnreadCmdline, t.LineErr)
	note(e, entry.UnreadExe, t.ImageErr)
	if t.LineErr == nil {
		line, _ := winbytes.Text(t.CommandLine)
		e.Cmdline = []byte(strings.Join(winbytes.Args(line), "\x00"))
		if len(e.Cmdline) > 0 {
			e.Cmdline = append(e.Cmdline, 0)
		}
		if len(e.Cmdline) > entry.MaxCmdline {
			e.Cmdline, e.CmdlineCut = e.Cmdline[:entry.MaxCmdline], true
		}
	}
	if t.ImageErr == nil {
		exe, _ := winbytes.Text16(t.Image)
		e.Exe = []byte(exe)[:min(len(exe), entry.MaxPath)]
	}
}

func note(e *entry.Event, what entry.Unread, err error) {
	switch {
	case err == nil:
	case errors.Is(err, winscan.ErrGone):
		e.Unread |= what | entry.UnreadGone
	case errors.Is(err, fs.ErrPermission):
		e.Unread |= what | entry.UnreadDenied
	default:
		e.Unread |= what
	}
}

// Close does nothing: nothing is held.
func (*Reader) Close() error { return nil }
