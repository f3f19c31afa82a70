package recorder

import (
	"sync"
	"time"
)

// The recorder may use so much of one core on average, and so much at once when it was
// idle before.
const (
	share = 100 // one hundredth
	burst = time.Second
)

// Budget is the time that the recorder may use. Its methods may be called from any
// goroutine.
type Budget struct {
	mu    sync.Mutex
	left  time.Duration
	at    time.Time
	spent time.Duration
}

// NewBudget returns a full one.
func NewBudget() *Budget { return &Budget{left: burst, at: time.Now()} }

// Allow reports whether there is time left.
func (b *Budget) Allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill()
	return b.left > 0
}

// Spend takes d, even if there is not so much left.
func (b *Budget) Spend(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill()
	b.left -= d
	b.spent += d
}

// Spent returns all that was taken so far.
func (b *Budget) Spent() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent
}

func (b *Budget) fill() {
	now := time.Now()
	b.left = min(b.left+now.Sub(b.at)/share, burst)
	b.at = now
}
