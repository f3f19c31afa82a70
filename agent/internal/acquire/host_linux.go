package acquire

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// sinceBoot reads CLOCK_BOOTTIME, sleep included (clock_gettime(2)).
func sinceBoot() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}

// bootID names this boot (random(4)).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// executable is what really runs, even if the file was replaced meanwhile.
func executable() (string, error) { return "/proc/self/exe", nil }
