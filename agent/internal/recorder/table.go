package recorder

import (
	"slices"

	"hozen/agent/internal/recorder/state"
)

// table is the processes that run, as far as told, and what is in doubt.
type table struct {
	procs   state.Processes
	missed  map[int]bool // told, and not there at the last sweep
	strange map[int]bool // ran at the last sweep, and nobody told
	// Where nobody tells: when the last sweep began, and the last that looked whether
	// numbers were used again.
	sweptNS, thoroughNS int64
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
		if p.Start == 0 && !t.missed[pid] {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
