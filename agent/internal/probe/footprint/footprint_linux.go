package footprint

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"hozen/internal/artifact/record"
)

// use fills in what the program has used since it was started.
func use(f *record.Footprint) error {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return fmt.Errorf("read own use: %w", err)
	}
	f.UserNS, f.SystemNS = u.Utime.Nano(), u.Stime.Nano()
	f.MinorFaults, f.MajorFaults, f.Switches = int64(u.Minflt), int64(u.Majflt), int64(u.Nivcsw)
	f.Unread = nil
	if b, err := os.ReadFile("/proc/self/io"); err == nil {
		parseIO(f, b)
	} else {
		f.Unread = append(f.Unread, "io")
	}
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		parseMemory(f, b)
	} else {
		f.Unread = append(f.Unread, "status")
	}
	if p, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil {
		f.Niceness = 20 - p // the call gives 20 minus the niceness
	}
	const whoProcess, classShift = 1, 13 // ioprio_get(2)
	if v, _, e := unix.RawSyscall(unix.SYS_IOPRIO_GET, whoProcess, 0, 0); e == 0 {
		if names := [...]string{"none", "realtime", "best_effort", "idle"}; v>>classShift < uintptr(len(names)) {
			f.IOClass = names[v>>classShift]
		}
	}
	return nil
}
