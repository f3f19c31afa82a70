package act

import (
	"sync"
	"time"

	"hozen/collector/internal/endpoint"
)

// writeSeenAfter is how often a living endpoint's heartbeat reaches the database; in
// between it is remembered here. A row per heartbeat of every PC would keep the one
// writer busy with nothing.
const writeSeenAfter = 5 * time.Minute

// writeClockAfter is by how much an endpoint's clock must have moved against ours for the
// database to hear of it.
const writeClockAfter = 2 * time.Second

// presence remembers the newest heartbeat of each endpoint.
type presence struct {
	mu   sync.Mutex
	seen map[string]sighting
}

type sighting struct {
	at        time.Time
	isolation endpoint.IsolationStatus // ReceivedAt zero: none with this heartbeat
	written   time.Time                // when the database last heard of the endpoint
	clock     ticking
}

// ticking is an endpoint's clock minus ours.
type ticking struct {
	now    time.Duration
	stored time.Duration // what the database has
	known  bool
}

func newPresence() *presence { return &presence{seen: map[string]sighting{}} }

// note remembers a heartbeat and reports whether the database must hear of it: it
// has not for long, or what people see of the isolation has changed.
func (p *presence) note(endpointID string, at time.Time, i endpoint.IsolationStatus) (write bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.seen[endpointID]
	write = at.Sub(old.written) >= writeSeenAfter
	if i.ReceivedAt.IsZero() {
		i = old.isolation
	} else {
		write = write || !old.isolation.Same(i)
	}
	p.seen[endpointID] = sighting{at: at, isolation: i, written: old.written, clock: old.clock}
	return write
}

// tick remembers how far an endpoint's clock is ahead of ours and reports whether the
// database must hear of it.
func (p *presence) tick(endpointID string, offset time.Duration) (write bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seen[endpointID]
	if !s.clock.known || (offset-s.clock.stored).Abs() >= writeClockAfter {
		return true // remembered when it is stored
	}
	s.clock.now = offset
	p.seen[endpointID] = s
	return false
}

// ticked remembers that the database has heard.
func (p *presence) ticked(endpointID string, offset time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seen[endpointID]
	s.clock = ticking{now: offset, stored: offset, known: true}
	p.seen[endpointID] = s
}

// stored remembers that the database has heard.
func (p *presence) stored(endpointID string, at time.Time, i endpoint.IsolationStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seen[endpointID]
	s.written = at
	if at.After(s.at) {
		s.at = at
	}
	if i.ReceivedAt.After(s.isolation.ReceivedAt) {
		s.isolation = i
	}
	p.seen[endpointID] = s
}

// isolated reports whether an endpoint's newest word was that it is isolated.
func (p *presence) isolated(endpointID string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[endpointID].isolation.Observed == endpoint.Isolated
}

// over puts what is remembered over what the database said.
func (p *presence) over(e endpoint.Endpoint) endpoint.Endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.seen[e.ID]
	if !ok {
		return e
	}
	if s.at.After(e.LastSeenAt) {
		e.LastSeenAt = s.at
	}
	if s.clock.known {
		e.ClockOffset = s.clock.now
	}
	if s.isolation.ReceivedAt.After(e.Isolation.ReceivedAt) {
		e.Isolation = s.isolation
	}
	return e
}

// wasMeasured reports whether a message carried a measurement at all.
func wasMeasured(i endpoint.IsolationStatus) bool {
	return !i.MeasuredAt.IsZero() || i.Observed != "" && i.Observed != endpoint.Unknown
}
