package state

import (
	"hozen/agent/internal/recorder/entry"
)

const (
	// MostProcesses bounds the memory. Linux starts 32768 processes on a PC unless somebody
	// raises kernel.pid_max.
	MostProcesses = 65536
	// Cmdline is how much of a command line is kept and listed, in bytes. More of it, up to
	// [entry.MaxCmdline], is in the event of the start.
	Cmdline = 256
)

// unknown is what may be unread, and why the reasons for it.
const (
	unknown = entry.UnreadExe | entry.UnreadCmdline | entry.UnreadStat | entry.UnreadIDs
	why     = ^unknown
)

// Process is what is known of a process.
type Process struct {
	Start      uint64 // ticks since boot, 1/100 s; 0 as long as nobody looked
	PPID       int32
	UID, EUID  int64 // -1 when not known
	Comm       string
	Exe        string
	Cmdline    string // its first [Cmdline] bytes
	CmdlineCut bool
	Kernel     bool
	Unread     entry.Unread // what is not known, and why
}

// Processes are what runs, by number.
type Processes map[int]Process

// Apply follows one event.
func (t Processes) Apply(e *entry.Event) {
	switch e.Type {
	case entry.ProcessStarted:
		p, known := t[e.PID]
		switch {
		case e.How == entry.HowFork:
			if p, known = t[e.PPID], known || len(t) < MostProcesses; p == (Process{}) {
				p = nobody()
			}
			p.Start, p.PPID = 0, int32(e.PPID) // a copy
			if known {
				t[e.PID] = p
			}
			return
		case !known:
			p = nobody()
		case e.How == entry.HowExec:
			p.Exe, p.Cmdline, p.CmdlineCut, p.Comm, p.Start = "", "", false, "", 0
			p.Unread |= entry.UnreadExe | entry.UnreadCmdline | entry.UnreadStat
		}
		t.set(e.PID, p.Seen(e), known)
	case entry.ProcessListed:
		_, known := t[e.PID]
		t.set(e.PID, Process{
			Start: e.StartTicks, PPID: int32(e.PPID), UID: e.UID, EUID: e.EUID, Comm: string(e.Comm), Exe: string(e.Exe),
			Cmdline: string(e.Cmdline), CmdlineCut: e.CmdlineCut, Kernel: e.Kernel, Unread: e.Unread,
		}, known)
	case entry.ProcessEnded:
		delete(t, e.PID)
	case entry.ProcessRenamed:
		if p, known := t[e.PID]; known {
			p.Comm = string(e.Comm)
			t[e.PID] = p
		}
	case entry.ProcessIDs:
		if p, known := t[e.PID]; known {
			// The event tells real and effective user together or one of them new; the kernel
			// gives both.
			p.UID, p.EUID, p.Unread = e.UID, e.EUID, p.Unread&^entry.UnreadIDs
			t[e.PID] = p
		}
	}
}

func (t Processes) set(pid int, p Process, known bool) {
	if known || len(t) < MostProcesses {
		t[pid] = p
	}
}

// nobody is a process of which nothing is known.
func nobody() Process { return Process{UID: -1, EUID: -1, Unread: unknown} }

// Looked returns p, which may be a process that nobody knew, with what was read in e.
func (p Process) Looked(e *entry.Event, known bool) Process {
	if !known {
		p = nobody()
	}
	return p.Seen(e)
}

// Seen returns p with what e read of it; the rest stays as it was.
func (p Process) Seen(e *entry.Event) Process {
	p.Unread &^= unknown &^ e.Unread
	if p.Unread &= unknown; p.Unread != 0 {
		p.Unread |= e.Unread & why
	}
	if e.Unread&entry.UnreadStat == 0 {
		p.Start, p.PPID, p.Kernel = e.StartTicks, int32(e.PPID), e.Kernel
		p.Comm = again(p.Comm, e.Comm)
	}
	if e.Unread&entry.UnreadIDs == 0 {
		p.UID, p.EUID = e.UID, e.EUID
	}
	if e.Unread&entry.UnreadExe == 0 {
		p.Exe = again(p.Exe, e.Exe)
	}
	if e.Unread&entry.UnreadCmdline == 0 {
		p.Cmdline, p.CmdlineCut = again(p.Cmdline, e.Cmdline[:min(len(e.Cmdline), Cmdline)]), e.CmdlineCut || len(e.Cmdline) > Cmdline
	}
	return p
}

// again returns s if it says the same as b, so that nothing is copied.
func again(s string, b []byte) string {
	if s == string(b) {
		return s
	}
	return string(b)
}

// Event says what is known of process pid.
func (p *Process) Event(t entry.Type, pid int) entry.Event {
	return entry.Event{
		Type: t, Source: entry.SourceRecorder, PID: pid, PPID: int(p.PPID), StartTicks: p.Start, UID: p.UID, EUID: p.EUID,
		Comm: []byte(p.Comm), Exe: []byte(p.Exe), Kernel: p.Kernel,
	}
}

// Listed is the event that lists p.
func (p *Process) Listed(pid int) entry.Event {
	e := p.Event(entry.ProcessListed, pid)
	e.Cmdline, e.CmdlineCut, e.Unread = []byte(p.Cmdline), p.CmdlineCut, p.Unread
	return e
}
