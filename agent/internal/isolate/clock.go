package isolate

import "time"

// Clock tells the time in two ways.
type Clock interface {
	// Now is the wall clock, which people set.
	Now() time.Time
	// Boot names this boot of the endpoint, and says how long ago it began, sleep
	// included, by a clock that nobody sets. An empty name means that nothing is known of
	// it beyond this call.
	Boot() (name string, since time.Duration)
}

// SystemClock is the clock of the endpoint.
type SystemClock struct{}

// Now implements [Clock].
func (SystemClock) Now() time.Time { return time.Now() }

// Boot implements [Clock] by CLOCK_BOOTTIME (clock_gettime(2)) and boot_id (random(4)).
func (SystemClock) Boot() (string, time.Duration) { return sinceBoot() }
