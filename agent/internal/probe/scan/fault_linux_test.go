package scan

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
)

// TestFailedCallsCountNothing: a process may end between the opening and the reading
// of its file; the -1 of that call once ended the agent.
func TestFailedCallsCountNothing(t *testing.T) {
	b, path := make([]byte, 16), []byte("nothing\x00")
	if n, e := read(-1, b); n != 0 || e == 0 {
		t.Errorf("read: %d, %v", n, e)
	}
	if n, e := getdents(-1, b); n != 0 || e == 0 {
		t.Errorf("getdents: %d, %v", n, e)
	}
	if n, e := readlinkat(-1, path, b); n != 0 || e == 0 {
		t.Errorf("readlinkat: %d, %v", n, e)
	}
}

// TestFaultCostsOneProcess: what cannot be read for a fault of ours is told, and the
// rest is there.
func TestFaultCostsOneProcess(t *testing.T) {
	pass := New(Options{})
	faults := 0
	pass.opt.Workers = 1
	pass.state.cmdline = func(dir int, w *worker, limit int) ([]byte, bool, unix.Errno) {
		b, cut, e := readCmdline(dir, w, limit)
		if faults == 0 {
			faults++
			panic("a fault")
		}
		return b, cut, e
	}
	procs, err := pass.Processes(t.Context())
	if m := probe.AsMissing(err); m == nil {
		t.Errorf("error %v, want one that tells of the process without a command line", err)
	}
	if find(t, procs, os.Getpid()) == nil {
		t.Error("this very process is not there")
	}
}
