package dnscache

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootEpoch is the wall clock's time at boot, as the clocks stand now.
func bootEpoch() time.Time {
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(up.Nano()))
}
