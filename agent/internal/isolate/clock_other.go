//go:build !linux

package isolate

import "time"

// Nothing can be isolated here yet, so no time is counted.
func sinceBoot() (string, time.Duration) { return "", 0 }
