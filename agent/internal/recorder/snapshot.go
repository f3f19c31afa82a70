package recorder

import (
	"maps"
	"slices"

	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/state"
	"hozen/internal/artifact"
)

const (
	// pieceRoom is how large one entry of a list grows.
	pieceRoom = 32 << 10
	// listAfter is how many bytes of events may stand between two lists, so that the ring
	// has one however fast it is filled: some 200 KB on disk, of the 32 MiB of a ring.
	listAfter = 1 << 20
)

// look is what was read of a process, for the table that had before.
type look struct {
	before, after state.Process
	known         bool
}

// snapshot reads all processes anew and lists everything that runs and is connected. At
// the first, whoever is in /proc runs; later, whom events and sweeps told.
func (r *Recorder) snapshot(first bool) error {
	pids, err := r.reader.PIDs()
	if err != nil {
		return err
	}
	at := r.cfg.Clock().BootNS
	r.mu.Lock()
	_, gone := r.table.compare(pids)
	verified := first || len(gone) == 0 && len(r.table.strange) == 0
	r.mu.Unlock()
	looks := make(map[int]look, len(pids))
	for _, pid := range pids {
		r.mu.Lock()
		before, known := r.table.procs[pid]
		r.mu.Unlock()
		if !known && !first {
			continue
		}
		if !first && !r.budget.Allow() {
			verified = false
			break
		}
		e := entry.Event{PID: pid, UID: -1, EUID: -1}
		r.read(&e)
		if e.Unread&entry.UnreadStat != 0 || known && e.Unread&entry.UnreadGone != 0 {
			continue // it ended meanwhile
		}
		looks[pid] = look{before, before.Looked(&e, known), known}
	}
	r.list(looks, verified)
	if first {
		r.table.sweptNS, r.table.thoroughNS = at, at
	}
	return nil
}

// list lists the table as it is at this instant, with what was read, unless something
// was told of it meanwhile. What is told while the list is written stands between its
// entries.
func (r *Recorder) list(looks map[int]look, verified bool) {
	r.mu.Lock()
	r.seal()
	for pid, l := range looks {
		if now, known := r.table.procs[pid]; known == l.known && now == l.before {
			r.table.procs[pid] = l.after
		}
	}
	p := pieces{at: r.cfg.Clock()}
	head := entry.Event{Type: entry.Snapshot, Source: entry.SourceRecorder, UID: -1, EUID: -1}
	if verified {
		head.Source = entry.SourceProcFS
		r.doubt = false
	}
	for _, pid := range slices.Sorted(maps.Keys(r.table.procs)) {
		known := r.table.procs[pid]
		e := known.Listed(pid)
		p.add(&e)
		head.Processes++
	}
	if r.sockets == nil {
		head.Detail = []byte(gapUnwatched)
	} else {
		r.sockets.List(func(e *entry.Event) {
			p.add(e)
			head.Connections++
		})
	}
	p.end()
	r.append(entry.KindSnapshot, p.at, entry.Append(nil, p.at.BootNS, &head))
	r.listed = 0
	r.mu.Unlock()
	for _, b := range p.all {
		r.mu.Lock()
		r.append(entry.KindSnapshot, p.at, b)
		r.mu.Unlock()
		r.wait()
	}
}

// pieces collects the entries of one list.
type pieces struct {
	at  artifact.Instant
	b   []byte
	all [][]byte
}

func (p *pieces) add(e *entry.Event) {
	e.BootNS = 0 // the entry's own time
	p.b = entry.Append(p.b, p.at.BootNS, e)
	if len(p.b) >= pieceRoom {
		p.end()
	}
}

func (p *pieces) end() {
	if len(p.b) > 0 {
		p.all = append(p.all, slices.Clone(p.b))
		p.b = p.b[:0]
	}
}

// heartbeat says that the recorder lives, and what there is.
func (r *Recorder) heartbeat(now artifact.Instant) {
	spent := int64(r.budget.Spent())
	r.mu.Lock()
	defer r.mu.Unlock()
	connections := 0
	if r.sockets != nil {
		connections = r.sockets.Count()
	}
	r.seal()
	e := entry.Event{
		Type: entry.Heartbeat, Source: entry.SourceRecorder, BootNS: now.BootNS, UID: -1, EUID: -1,
		Processes: len(r.table.procs), Connections: connections, IntervalNS: int64(r.cfg.Every), CPUNS: spent - r.spentNS,
	}
	r.spentNS = spent
	r.append(entry.KindHeartbeat, now, entry.Append(nil, now.BootNS, &e))
}
