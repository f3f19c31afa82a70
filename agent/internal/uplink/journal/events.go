package journal

import (
	"fmt"
	"slices"

	"hozen/internal/crashpoint"
)

// eventEntry is an event that the collector does not have.
type eventEntry struct {
	event IsolationEvent
	bytes int64 // of its line in the file
}

// AddEvent keeps what happened to an isolation durably; when it returns nil it will be
// sent, or be counted in a later event of its kind when too many wait: the newest of
// each kind win. One that is known already is passed over.
func (j *Journal) AddEvent(e IsolationEvent) error {
	e.Count = max(e.Count, 1)
	// j.accept is not taken: an order must not wait until this is on the disk. Of two calls
	// with the same event the second writes a line that counts for nothing.
	j.mu.Lock()
	known := j.s.event(e.ID) >= 0
	j.mu.Unlock()
	if known {
		return nil
	}
	if err := j.append(crashpoint.JournalEvent, line{Event: &e}, true); err != nil {
		return fmt.Errorf("keep isolation event: %w", err)
	}
	return nil
}

// ConfirmEvent notes that the collector has an event. A power cut may undo it; then the
// event is sent once more.
func (j *Journal) ConfirmEvent(eventID string) error {
	j.mu.Lock()
	known := j.s.event(eventID) >= 0
	j.mu.Unlock()
	if !known {
		return nil // confirmed before, or given up meanwhile
	}
	if err := j.append(crashpoint.JournalConfirm, line{EventReceived: eventID}, false); err != nil {
		return fmt.Errorf("note receipt of isolation event: %w", err)
	}
	return nil
}

// Events returns the events that the collector does not have, in the order in which
// they happened.
func (j *Journal) Events() []IsolationEvent {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.s.events) == 0 {
		return nil
	}
	out := make([]IsolationEvent, len(j.s.events))
	for i, e := range j.s.events {
		out[i] = e.event
	}
	return out
}

// event returns the place of an event, or -1.
func (s *state) event(eventID string) int {
	return slices.IndexFunc(s.events, func(e eventEntry) bool { return e.event.ID == eventID })
}

func (s *state) addEvent(e IsolationEvent, bytes int64) {
	if s.event(e.ID) >= 0 {
		return
	}
	s.events = append(s.events, eventEntry{e, bytes})
	s.bytes += bytes
	for s.tooManyEvents() {
		s.giveUpEvent()
	}
}

func (s *state) dropEvent(eventID string) {
	if i := s.event(eventID); i >= 0 {
		s.bytes -= s.events[i].bytes
		s.events = slices.Delete(s.events, i, i+1)
	}
}

func (s *state) tooManyEvents() bool {
	if len(s.events) > maxEvents {
		return true
	}
	var bytes int64
	for _, e := range s.events {
		bytes += e.bytes
	}
	return bytes > maxEventBytes && len(s.events) > 1
}

// giveUpEvent drops the oldest event of the kind of which there are the most, so that
// a storm of one kind never hides the one event of another, and counts it in the next
// one of its kind.
func (s *state) giveUpEvent() {
	kinds := map[EventKind]int{}
	most := s.events[0].event.Kind
	for _, e := range s.events {
		kinds[e.event.Kind]++
	}
	for _, e := range s.events { // the oldest of several that are equally frequent
		if kinds[e.event.Kind] > kinds[most] {
			most = e.event.Kind
		}
	}
	of := func(e eventEntry) bool { return e.event.Kind == most }
	i := slices.IndexFunc(s.events, of)
	gone := s.events[i]
	s.bytes -= gone.bytes
	s.events = slices.Delete(s.events, i, i+1)
	if next := slices.IndexFunc(s.events, of); next >= 0 {
		e := &s.events[next].event
		e.Count += gone.event.Count
		e.Dropped += gone.event.Dropped + 1
	}
}
