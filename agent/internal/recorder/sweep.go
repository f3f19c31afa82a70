package recorder

import (
	"hozen/agent/internal/recorder/entry"
)

// sweepTold compares /proc with what the kernel told. An event may still be on its way,
// so only what differs twice in a row is on record: something that was lost.
func (r *Recorder) sweepTold() error {
	pids, err := r.reader.PIDs()
	if err != nil {
		return err
	}
	r.mu.Lock()
	unknown, gone := r.table.compare(pids)
	unseen := r.table.unseen()
	before, missed := r.table.strange, r.table.missed
	r.table.strange, r.table.missed = nil, nil
	for _, pid := range gone {
		if p := r.table.procs[pid]; missed[pid] {
			delete(r.table.procs, pid)
			e := p.Event(entry.ProcessEnded, pid)
			e.Source = entry.SourceProcFS
			r.put(&e)
			continue
		}
		if r.table.missed == nil {
			r.table.missed = make(map[int]bool)
		}
		r.table.missed[pid] = true
	}
	r.mu.Unlock()
	var strange map[int]bool
	for _, pid := range unknown {
		e := entry.Event{PID: pid, UID: -1, EUID: -1}
		if state := r.reader.Stat(&e); state == 'Z' || state == 'X' || e.Unread != 0 {
			continue // told to have ended, and not yet fetched by its parent
		}
		if before[pid] {
			r.find(pid, 0)
			continue
		}
		if strange == nil {
			strange = make(map[int]bool)
		}
		strange[pid] = true
	}
	for _, pid := range unseen {
		r.find(pid, 0)
	}
	r.mu.Lock()
	r.table.strange = strange
	r.mu.Unlock()
	return nil
}

// find reads and tells a process that was found running. It was not there afterNS.
func (r *Recorder) find(pid int, afterNS int64) {
	e := entry.Event{Type: entry.ProcessStarted, Source: entry.SourceProcFS, How: entry.HowSeen, PID: pid, UID: -1, EUID: -1, BootNS: r.cfg.Clock().BootNS, AfterNS: afterNS}
	r.read(&e)
	if e.Unread&entry.UnreadGone != 0 && e.Unread&entry.UnreadStat != 0 {
		return // it ended meanwhile; if it was told, so is its end
	}
	r.emit(&e)
}

// read reads a process, and says on record when it does not answer.
func (r *Recorder) read(e *entry.Event) {
	if gap := r.reader.Read(e); gap != "" {
		r.lost(entry.SourceProcFS, gap)
	}
}

// sweepUntold finds starts and ends where the kernel does not tell them. Whether a
// number was used again is looked at only if thorough.
func (r *Recorder) sweepUntold(thorough bool) error {
	at := r.cfg.Clock().BootNS
	after := r.table.sweptNS
	pids, err := r.reader.PIDs()
	if err != nil {
		return err
	}
	r.mu.Lock()
	unknown, gone := r.table.compare(pids)
	r.mu.Unlock()
	for _, pid := range gone {
		r.lose(pid, at, after)
	}
	for _, pid := range unknown {
		r.find(pid, after)
	}
	if thorough {
		after, r.table.thoroughNS = r.table.thoroughNS, at
		for _, pid := range pids {
			r.mu.Lock()
			p, known := r.table.procs[pid]
			r.mu.Unlock()
			e := entry.Event{PID: pid}
			if !known || r.reader.Stat(&e) == 'Z' || e.Unread != 0 || e.StartTicks == p.Start && string(e.Comm) == p.Comm {
				continue
			}
			if e.StartTicks == p.Start { // the same process, and another program
				r.find(pid, after)
				continue
			}
			r.lose(pid, at, after)
			r.find(pid, after)
		}
	}
	r.table.sweptNS = at
	return nil
}

// lose tells a process that is not there any more.
func (r *Recorder) lose(pid int, at, after int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.table.procs[pid]
	e := p.Event(entry.ProcessEnded, pid)
	e.Source, e.BootNS, e.AfterNS = entry.SourceProcFS, at, after
	r.table.procs.Apply(&e)
	r.put(&e)
}
