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

// presence remembers the newest heartbeat of each endpoint.
type presence struct {
	mu   sync.Mutex
	seen map[string]sighting
}

type sighting struct {
	at        time.Time
	isolation endpoint.IsolationStatus // ReceivedAt zero: none with this heartbeat
	written   time.Time                // when the database last heard of the endpoint
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
	p.seen[endpointID] = sighting{at: at, isolation: i, written: old.written}
	return write
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
	if s.isolation.ReceivedAt.After(e.Isolation.ReceivedAt) {
		e.Isolation = s.isolation
	}
	return e
}

// wasMeasured reports whether a message carried a measurement at all.
func wasMeasured(i endpoint.IsolationStatus) bool {
	return !i.MeasuredAt.IsZero() || i.Observed != "" && i.Observed != endpoint.Unknown
}
