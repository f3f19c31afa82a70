package background

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	// niceness leaves a tenth of a core that somebody else wants; 19 would be next to
	// nothing, and then a busy attacker could starve the capture.
	niceness = 10
	// The values of ioprio_set(2): one thread, which is the caller; no class of its own;
	// the disk only when nobody else wants it.
	ioprioWhoProcess = 1
	ioprioNone       = 0
	ioprioIdle       = 3 << 13
)

// enter works on the thread alone: in Linux a niceness is a thread's (sched(7)).
func enter() func() {
	runtime.LockOSThread()
	before, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	nice := 20 - before // the call gives 20 minus the niceness
	lowered := err == nil && nice < niceness && unix.Setpriority(unix.PRIO_PROCESS, 0, niceness) == nil
	_, _, e := unix.RawSyscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioIdle)
	return func() {
		if e == 0 {
			_, _, e = unix.RawSyscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, ioprioNone)
		} else {
			e = 0 // it was refused, so there is nothing to take back
		}
		if lowered && unix.Setpriority(unix.PRIO_PROCESS, 0, nice) != nil || e != 0 {
			return // still locked: the thread ends with its goroutine and serves nobody else
		}
		runtime.UnlockOSThread()
	}
}
