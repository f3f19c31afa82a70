package memory

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace does something in a mount namespace of its own, which ends with it.
func inNamespace(t *testing.T, do func() error) {
	t.Helper()
	done := make(chan error, 1)
	denied := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := errors.Join(unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		denied <- err
		if err == nil {
			done <- do()
		}
	}()
	if err := <-denied; err != nil {
		t.Skip("no mount namespace of one's own:", err)
	}
	must(t, <-done)
}
