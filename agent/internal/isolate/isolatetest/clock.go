package isolatetest

import (
	"fmt"
	"sync"
	"time"
)

// Clock is a fake isolate.Clock that runs with the time of its test, whose wall clock can
// be set and whose endpoint can be restarted. Its zero value is ready. Safe for concurrent
// use.
type Clock struct {
	mu    sync.Mutex
	ahead time.Duration // of the wall clock
	boots int
	began time.Time // of this boot
	slept time.Duration
}

// Now implements isolate.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Boot implements isolate.Clock.
func (c *Clock) Boot() (string, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.began.IsZero() {
		c.began = time.Now().Add(-time.Minute)
	}
	return fmt.Sprint("boot ", c.boots), time.Since(c.began)
}

// Asleep implements isolate.Clock.
func (c *Clock) Asleep() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slept
}

// Slept says that the endpoint slept for the last so long.
func (c *Clock) Slept(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slept += d
}

// Set sets the wall clock forward, or back.
func (c *Clock) Set(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += by
}

// Pass lets time pass by both clocks at once, for tests that cannot wait.
func (c *Clock) Pass(d time.Duration) {
	_, _ = c.Boot()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
	c.began = c.began.Add(-d)
}

// Reboot begins another boot.
func (c *Clock) Reboot() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.boots++
	c.began, c.slept = time.Now(), 0
}
