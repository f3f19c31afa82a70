package kernlog

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// read reads the whole log, and tells when the kernel began to count as the clocks stand
// now.
func read() ([]byte, time.Time, error) {
	const readAll, bufferSize = 3, 10 // SYSLOG_ACTION_…
	n, err := unix.Klogctl(bufferSize, nil)
	if err != nil {
		return nil, time.Time{}, os.NewSyscallError("syslog", err)
	}
	// A line has its priority and time in front of it here, which the kernel does not count.
	b := make([]byte, min(2*n+4096, maxLog))
	n, err = unix.Klogctl(readAll, b)
	if err != nil {
		return nil, time.Time{}, os.NewSyscallError("syslog", err)
	}
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &up) != nil {
		return b[:n], time.Time{}, nil
	}
	return b[:n], time.Now().Add(-time.Duration(up.Nano())).UTC(), nil
}
