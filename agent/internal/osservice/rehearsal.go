package osservice

import "time"

// Rehearsal is what came of a rehearsal of going down.
type Rehearsal struct {
	Took  time.Duration // from the order until the service had stopped
	Signs uint32        // of life on the way, as far as the system shows them
}
