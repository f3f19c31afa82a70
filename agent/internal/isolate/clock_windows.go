package isolate

import (
	"time"

	"golang.org/x/sys/windows"
)

// The time since boot counts sleep here as CLOCK_BOOTTIME does on Linux
// (QueryUnbiasedInterruptTime does not). Boots have no name.
func sinceBoot() (string, time.Duration) { return "", windows.DurationSinceBoot() }

func asleep() time.Duration { return 0 }
