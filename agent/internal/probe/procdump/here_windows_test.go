package procdump

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// marker is in no file and no command line: only the process that made it has it.
func marker(of string) []byte {
	s := sha256.Sum256([]byte("marked " + of))
	return bytes.Repeat(s[:], 4)
}

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "--marked" {
		kept := marker(os.Args[2])
		fmt.Println(len(kept))
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test lets go
		fmt.Println(kept[0])
		return
	}
	os.Exit(m.Run())
}

// marked starts a process that keeps a marker in its memory.
func marked(t *testing.T, name string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "--marked", name)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd.Process.Pid
}

// TestMarkedProcess: what only the memory of a process has is in its dump, and the system's file
// is gone.
func TestMarkedProcess(t *testing.T) {
	room := t.TempDir()
	pid, w := marked(t, strconv.Itoa(os.Getpid())), new(sink)
	c := New(Target{PID: pid}, PC{Room: room})
	if err := c.Memory().Acquire(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(w.b, marker(strconv.Itoa(os.Getpid()))) {
		t.Errorf("the marker is not among the %d bytes of the dump", len(w.b))
	}
	l := told1(t, c)
	if l.PID != pid || l.StartTicks == 0 || l.Path == "" || l.Committed == 0 || l.Size != int64(len(w.b)) || l.Problem != "" {
		t.Errorf("%+v", l)
	}
	t.Logf("%+v", l)
	if left, err := os.ReadDir(room); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	other := New(Target{PID: pid, StartTicks: l.StartTicks - 1}, PC{Room: room})
	if err := other.Memory().Acquire(t.Context(), new(sink)); err == nil {
		t.Error("another process of this number was dumped")
	}
}

func TestNotDumpedHere(t *testing.T) {
	room := t.TempDir()
	p := PC{Room: room}
	if _, err := p.Look(os.Getpid()); err == nil {
		t.Error("the agent itself")
	}
	if _, err := p.Look(0x7ffffff0); !errors.Is(err, errEnded) {
		t.Errorf("a process that is not there: %v", err)
	}
	a, err := p.Look(marked(t, "x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Dump(t.Context(), a, 1); err == nil {
		t.Error("a dump without a bound")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Dump(ended, a, 1<<30); !errors.Is(err, context.Canceled) {
		t.Errorf("a dump that nobody waits for: %v", err)
	}
	if left, err := os.ReadDir(room); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
