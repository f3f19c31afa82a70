package machine

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestStuckFS runs the file system's program, freezes it and has somebody wait.
func TestStuckFS(t *testing.T) {
	h, ctx := hall(t)
	echo, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.NewStuckFS(echo)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("this kernel has no FUSE: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	path := filepath.Join(s.Dir(), StuckProgram)
	// Not by this process: the runtime polls a file that it opens, without letting go of
	// the processor that would have to answer.
	for _, cmd := range [][]string{{"cmp", path, echo}, {"sh", "-c", path}} {
		if out, err := exec.CommandContext(ctx, cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", cmd, err, out)
		}
	}
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	look := exec.CommandContext(ctx, "stat", path)
	if err := look.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- look.Wait() }()
	select {
	case err := <-ended:
		t.Errorf("stat came back: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := look.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
}
