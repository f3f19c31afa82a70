package isolate

import (
	"time"

	"golang.org/x/sys/windows"

	"hozen/internal/winapi/winboot"
)

// The time since boot counts sleep here as CLOCK_BOOTTIME does on Linux (GetTickCount64).
// A start after a fast startup is none: the kernel slept. The boot has the name that the
// agent's service gave to it.
func sinceBoot() (string, time.Duration) { return winboot.ID(), windows.DurationSinceBoot() }

func asleep() time.Duration { return winboot.Asleep() }
