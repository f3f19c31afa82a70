package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTerminalNames(t *testing.T) {
	for name, want := range map[string]bool{
		"tty1": true, "pts/0": true, "ttyS0": true, "pts/12": true,
		"": false, "tty": false, "../etc/passwd": false, "pts/../sda": false, "sda": false, "tty1/../../sda": false, "pts/0\n": false,
	} {
		if got := isTTY(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// TestTellsATerminal: the text arrives, and what is no terminal is not written to.
func TestTellsATerminal(t *testing.T) {
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs pseudo terminals: %v", err)
	}
	defer ptmx.Close()
	raw, err := ptmx.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("/dev/pts", strconv.Itoa(n))
	open, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0) // as the person's shell has it
	if err != nil {
		t.Skipf("needs /dev/pts: %v", err)
	}
	defer open.Close()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := writeTTY(over, path, []byte("too late\r\n")); !errors.Is(err, context.Canceled) {
		t.Errorf("when the time is over: %v", err)
	}
	if err := writeTTY(t.Context(), path, []byte("証拠を保存しています\r\n")); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(ptmx).ReadString('\n')
	if err != nil || line != "証拠を保存しています\r\r\n" && line != "証拠を保存しています\r\n" {
		t.Fatalf("%q %v", line, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeTTY(t.Context(), file, []byte("x")); err == nil {
		t.Error("a file was written to")
	}
}

// TestTerminalsThatTakeNothing: all together may take the time of one limit, however
// many there are.
func TestTerminalsThatTakeNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var told []string
	names := []string{"pts/1", "pts/1", "../sda", "pts/2", "pts/3", "pts/4"}
	tellEach(ctx, names, "x", newLog(t.Output(), 0, false), func(ctx context.Context, path string, _ []byte) error {
		if told = append(told, path); len(told) == 2 {
			cancel() // it kept us until the time was over
		}
		return ctx.Err()
	})
	if want := []string{"/dev/pts/1", "/dev/pts/2"}; !slices.Equal(told, want) {
		t.Errorf("told %q", told)
	}
}
