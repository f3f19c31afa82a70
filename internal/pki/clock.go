package pki

import (
	"sync"
	"time"
)

// Clock is the time that certificates are checked against: the latest of the own
// clock, the build time and the last time seen, because PCs with a dead battery
// wake up in the past. It is never used as evidence. It is safe for concurrent use.
type Clock struct {
	now func() time.Time

	mu    sync.Mutex
	floor time.Time
}

// NewClock returns a Clock over now, such as [time.Now], that does not run before floor.
func NewClock(now func() time.Time, floor time.Time) *Clock {
	return &Clock{now: now, floor: floor}
}

// See tells the clock of a time that must have passed, such as the collector's.
func (c *Clock) See(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.floor) {
		c.floor = t
	}
}

// Now returns the latest time known.
func (c *Clock) Now() time.Time {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.floor) {
		return c.floor
	}
	return now
}
