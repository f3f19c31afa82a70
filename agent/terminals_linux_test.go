package main

import (
	"bufio"
	"os"
	"path/filepath"
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
	if err := writeTTY(path, []byte("証拠を保存しています\r\n")); err != nil {
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
	if err := writeTTY(file, []byte("x")); err == nil {
		t.Error("a file was written to")
	}
}
