package identity

import (
	"time"

	"golang.org/x/sys/windows"
)

// sinceBoot counts sleep (GetTickCount64).
func sinceBoot() time.Duration { return windows.DurationSinceBoot() }
