package recorder

import (
	"hozen/agent/internal/recorder/entry"
	"hozen/internal/artifact"
)

const (
	// pieceRoom is how large one entry of a snapshot grows.
	pieceRoom = 32 << 10
	// listedCmdline is how much of a command line a snapshot repeats, in bytes. All of it
	// is in the event of the start.
	listedCmdline = 256
)

// piece collects the entries of one snapshot.
type piece struct {
	r  *Recorder
	at artifact.Instant
	b  []byte
}

func (p *piece) add(e *entry.Event) {
	e.BootNS = 0 // the entry's own time
	p.b = entry.Append(p.b, p.at.BootNS, e)
	if len(p.b) >= pieceRoom {
		p.end()
	}
}

func (p *piece) end() {
	if len(p.b) == 0 {
		return
	}
	p.r.mu.Lock()
	p.r.append(entry.KindSnapshot, p.at, p.b)
	p.r.mu.Unlock()
	p.b = p.b[:0]
	p.r.wait()
}

// snapshot lists everything that runs and is connected.
func (r *Recorder) snapshot(first bool) error {
	pids, err := r.reader.PIDs()
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.seal()
	r.mu.Unlock()
	p := piece{r: r, at: r.cfg.Clock()}
	connections := 0
	if r.sockets != nil {
		connections = r.sockets.Count()
	}
	p.add(&entry.Event{Type: entry.Snapshot, Source: entry.SourceRecorder, UID: -1, EUID: -1, Processes: len(pids), Connections: connections})
	for _, pid := range pids {
		e := entry.Event{Type: entry.ProcessListed, Source: entry.SourceProcFS, PID: pid, UID: -1, EUID: -1}
		if first || r.budget.Allow() {
			r.read(&e)
			if e.Unread&entry.UnreadStat != 0 {
				continue // it ended meanwhile
			}
		} else {
			r.mu.Lock()
			known, ok := r.table.procs[pid]
			r.mu.Unlock()
			if ok {
				e = known.event(entry.ProcessListed, pid)
			}
			e.Unread |= entry.UnreadCmdline | entry.UnreadBudget
		}
		if first {
			r.mu.Lock()
			r.table.apply(&e)
			r.mu.Unlock()
		}
		if len(e.Cmdline) > listedCmdline {
			e.Cmdline, e.CmdlineCut = e.Cmdline[:listedCmdline], true
		}
		p.add(&e)
	}
	if r.sockets != nil {
		r.sockets.List(p.add)
	}
	p.end()
	if first {
		r.table.sweptNS, r.table.thoroughNS = p.at.BootNS, p.at.BootNS
	}
	return nil
}

// heartbeat says that the recorder lives, and what there is.
func (r *Recorder) heartbeat(now artifact.Instant) {
	connections := 0
	if r.sockets != nil {
		connections = r.sockets.Count()
	}
	spent := int64(r.budget.Spent())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seal()
	e := entry.Event{
		Type: entry.Heartbeat, Source: entry.SourceRecorder, BootNS: now.BootNS, UID: -1, EUID: -1,
		Processes: len(r.table.procs), Connections: connections, IntervalNS: int64(r.cfg.Every), CPUNS: spent - r.spentNS,
	}
	r.spentNS = spent
	r.append(entry.KindHeartbeat, now, entry.Append(nil, now.BootNS, &e))
}
