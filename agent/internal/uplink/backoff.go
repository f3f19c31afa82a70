package uplink

import (
	"math/rand/v2"
	"time"
)

// backoff makes waits with full jitter: a random time up to a bound that doubles.
// Many agents that lost the same collector come back spread out.
type backoff struct {
	min, max time.Duration
	bound    time.Duration // of the last wait; 0 after reset
}

// floor keeps a lucky draw from becoming a busy loop.
const backoffFloor = 20 * time.Millisecond

func (b *backoff) next() time.Duration {
	b.bound = min(max(b.bound*2, b.min), b.max)
	return max(rand.N(b.bound+1), min(backoffFloor, b.max))
}

func (b *backoff) reset() { b.bound = 0 }
