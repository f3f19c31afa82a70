//go:build !linux && !windows

package isolate

import "time"

// Nothing can be isolated here, so no time is counted.
func sinceBoot() (string, time.Duration) { return "", 0 }

func asleep() time.Duration { return 0 }
