package background

import (
	"context"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// now returns the niceness and the I/O priority of the calling thread.
func now(t *testing.T) (nice, io int) {
	t.Helper()
	p, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	v, _, e := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, 0, 0)
	if e != 0 {
		t.Fatal(e)
	}
	return 20 - p, int(v)
}

// inside runs f on a goroutine of its own, as work is.
func inside(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func TestEnter(t *testing.T) {
	var nice, io int
	inside(func() {
		defer Enter(Mark(context.Background()))()
		nice, io = now(t)
	})
	if nice < niceness || io != ioprioIdle {
		t.Errorf("inside: nice %d, io priority %#x", nice, io)
	}
	inside(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		before, beforeIO := now(t)
		Enter(context.Background())()
		if after, afterIO := now(t); after != before || afterIO != beforeIO {
			t.Errorf("unmarked: nice %d, io priority %#x", after, afterIO)
		}
	})
}

// TestNothingIsLeftBehind: threads go on to serve others.
func TestNothingIsLeftBehind(t *testing.T) {
	runtime.LockOSThread()
	before, _ := now(t)
	runtime.UnlockOSThread()
	for range 50 {
		inside(func() { Enter(Mark(context.Background()))() })
	}
	for range 50 {
		inside(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if nice, io := now(t); nice != before || io>>13 == ioprioIdle>>13 {
				t.Errorf("a thread was left with nice %d, io priority %#x", nice, io)
			}
		})
	}
}
