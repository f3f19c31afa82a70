package clock

import (
	"time"

	"golang.org/x/sys/windows"

	"hozen/internal/artifact/record"
)

func read(string) (*record.Clock, error) {
	boot := windows.DurationSinceBoot() // counts sleep, as CLOCK_BOOTTIME does
	now := time.Now()
	c := &record.Clock{Wall: now.Round(0).UTC(), BootNS: int64(boot), MonotonicNS: int64(boot)}
	c.ZoneAbbrev, c.UTCOffset = now.Zone()
	return c, nil
}
