package journal

import (
	"maps"
	"slices"
)

// maxMissing bounds the lost counters that are remembered.
const maxMissing = maxUnfinished

// losses finds out which commands a damaged file may have lost. A line that was not
// synced can be gone after a power cut while one behind it is there: the command in it
// was acknowledged and never begun, and must be taken when the collector sends it again,
// although its counter was passed.
type losses struct {
	floor uint64 // counters up to this were settled or synced when the file was begun
	begun bool   // the first line, which tells the floor, could be read
	other bool   // lines about commands that are lost: those were synced, so it is another damage
}

// see takes one line into account, before the state does.
func (w *losses) see(s *state, l line, first bool) {
	if first {
		w.floor, w.begun = l.Counter, l.Command == nil
	}
	for _, commandID := range []string{l.Started, l.Confirmed, resultOf(l)} {
		w.other = w.other || commandID != "" && s.commands[commandID] == nil
	}
}

func resultOf(l line) string {
	if l.Result == nil {
		return ""
	}
	return l.Result.CommandID
}

// note marks the counters above the floor that no known command has.
func (w *losses) note(s *state) {
	if !w.begun || w.other || s.counter-w.floor > maxMissing {
		return
	}
	known := map[uint64]bool{}
	for _, e := range s.commands {
		known[e.Command.Counter] = true
	}
	for c := w.floor + 1; c < s.counter && len(s.missing) < maxMissing; c++ {
		if !known[c] {
			s.missing[c] = true
		}
	}
}

// passed reports whether a command with that counter may not be carried out any more.
func (s *state) passed(counter uint64) bool { return counter <= s.counter && !s.missing[counter] }

// listMissing returns the lost counters, lowest first.
func (s *state) listMissing() []uint64 { return slices.Sorted(maps.Keys(s.missing)) }

// begun takes into account that a command was begun.
func (s *state) begun(c Command) {
	if c.network() {
		s.network = max(s.network, c.Counter)
	}
}

// network reports whether a command changes what is cut.
func (c Command) network() bool { return c.Verb == Isolate || c.Verb == Release }

// Superseded reports whether a command must not be carried out any more although it was
// accepted: it is about the network, a power cut took it, and a later one was begun before
// it came again. What was ordered last counts.
func (j *Journal) Superseded(e Entry) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !e.Started && e.Command.network() && e.Command.Counter < j.s.network
}
