package netlab

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A host that got the process's first thread would never end what was started in it.
func TestNeverOnTheFirstThread(t *testing.T) {
	asked, ran := make(chan int), make(chan int)
	go func() {
		runtime.LockOSThread()
		first := unix.Gettid() // as if it were: nobody gets the first one for sure
		apartFrom(first, func() { ran <- unix.Gettid() })
		asked <- first
	}()
	if tid := <-ran; tid == <-asked {
		t.Error("ran on the first thread")
	}
}
