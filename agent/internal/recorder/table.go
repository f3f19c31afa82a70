package recorder

import (
	"slices"

	"hozen/agent/internal/recorder/entry"
)

// proc is what is remembered of a process.
type proc struct {
	start     uint64 // ticks; 0 as long as nobody looked
	ppid      int32
	uid, euid int64
	comm, exe string
	kernel    bool
	missed    bool // was not there at the last sweep
}

// mostProcesses bounds the memory. Linux starts 32768 processes on a PC unless somebody
// raises kernel.pid_max.
const mostProcesses = 65536

// table is the processes that run, as far as told.
type table struct {
	procs   map[int]proc
	strange map[int]bool // ran at the last sweep, and nobody told
	// Where nobody tells: when the last sweep began, and the last that looked whether
	// numbers were used again.
	sweptNS, thoroughNS int64
}

// apply follows one event.
func (t *table) apply(e *entry.Event) {
	if t.procs == nil {
		t.procs = make(map[int]proc)
	}
	switch e.Type {
	case entry.ProcessStarted, entry.ProcessListed:
		p, known := t.procs[e.PID]
		if e.How == entry.HowFork {
			p = t.procs[e.PPID] // a copy
			p.start, p.ppid, p.missed = 0, int32(e.PPID), false
		} else {
			p = p.with(e)
		}
		if known || len(t.procs) < mostProcesses {
			t.procs[e.PID] = p
		}
	case entry.ProcessEnded:
		delete(t.procs, e.PID)
	case entry.ProcessRenamed:
		if p, known := t.procs[e.PID]; known {
			p.comm = string(e.Comm)
			t.procs[e.PID] = p
		}
	case entry.ProcessIDs:
		if p, known := t.procs[e.PID]; known {
			// The event tells real and effective user together or one of them new; the kernel
			// gives both.
			p.uid, p.euid = e.UID, e.EUID
			t.procs[e.PID] = p
		}
	}
}

// with returns p with what e read.
func (p proc) with(e *entry.Event) proc {
	p.missed = false
	if e.Unread&entry.UnreadStat == 0 {
		p.start, p.ppid, p.kernel = e.StartTicks, int32(e.PPID), e.Kernel
		p.comm = again(p.comm, e.Comm)
	} else {
		p.start = 0 // if it lives, the next sweep looks
	}
	if e.Unread&entry.UnreadIDs == 0 {
		p.uid, p.euid = e.UID, e.EUID
	}
	if e.Unread&entry.UnreadExe == 0 {
		p.exe = again(p.exe, e.Exe)
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

// event says what is remembered of pid.
func (p *proc) event(t entry.Type, pid int) entry.Event {
	return entry.Event{
		Type: t, Source: entry.SourceRecorder, PID: pid, PPID: int(p.ppid), StartTicks: p.start, UID: p.uid, EUID: p.euid,
		Comm: []byte(p.comm), Exe: []byte(p.exe), Kernel: p.kernel,
	}
}

// compare says how the table differs from pids, which are sorted: what runs and was
// never told, and what was told and runs no more.
func (t *table) compare(pids []int) (unknown, gone []int) {
	for _, pid := range pids {
		if _, known := t.procs[pid]; !known {
			unknown = append(unknown, pid)
		}
	}
	if len(pids)-len(unknown) == len(t.procs) {
		return unknown, nil
	}
	for pid := range t.procs {
		if _, runs := slices.BinarySearch(pids, pid); !runs {
			gone = append(gone, pid)
		}
	}
	slices.Sort(gone)
	return unknown, gone
}

// unseen lists the processes that forked, live, and were never looked at.
func (t *table) unseen() (pids []int) {
	for pid, p := range t.procs {
		if p.start == 0 && !p.missed {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
