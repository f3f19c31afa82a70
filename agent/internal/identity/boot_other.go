//go:build !linux && !windows

package identity

import "time"

// sinceBoot is not known: Go's own clock alone counts.
func sinceBoot() time.Duration { return 0 }
