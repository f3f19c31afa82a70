package isolate

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func sinceBoot() (string, time.Duration) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return "", 0
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", time.Duration(ts.Nano())
	}
	return strings.TrimSpace(string(id)), time.Duration(ts.Nano())
}

func asleep() time.Duration {
	var all, awake unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &all) != nil {
		return 0
	}
	return max(0, time.Duration(all.Nano()-awake.Nano()))
}
