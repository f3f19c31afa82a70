package tunnel

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A program with very many descriptors is found by any of them, and hides no other one.
func TestProgramWithManyDescriptors(t *testing.T) {
	const many = descriptorsMax + 3*batch + 1
	proc := t.TempDir()
	put := func(pid string, fd int, to, info string) {
		t.Helper()
		for dir, what := range map[string]func(string) error{
			"fd":     func(at string) error { return os.Symlink(to, at) },
			"fdinfo": func(at string) error { return os.WriteFile(at, []byte(info), 0o600) },
		} {
			dir := filepath.Join(proc, pid, dir)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := what(filepath.Join(dir, fmt.Sprint(fd))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for fd := range many {
		put("10", fd, fmt.Sprintf("socket:[%d]", fd+1), "")
	}
	f := New(Config{Proc: proc})
	if inodes, more := f.sockets(10); len(inodes) != many || more {
		t.Errorf("%d sockets, more: %t; want %d", len(inodes), more, many)
	}
	if pids, cut, err := f.holders(t.Context(), "tun0"); len(pids) != 0 || cut || err != nil {
		t.Errorf("nobody's device: %v, cut: %t, %v", pids, cut, err)
	}
	put("10", many, "/dev/net/tun", "pos:\t0\niff:\ttun0\n")
	put("11", 3, "/dev/net/tun", "pos:\t0\niff:\ttun1\n")
	for device, pid := range map[string]int{"tun0": 10, "tun1": 11} {
		if pids, cut, err := f.holders(t.Context(), device); !slices.Equal(pids, []int{pid}) || cut || err != nil {
			t.Errorf("%s: %v, cut: %t, %v; want %d", device, pids, cut, err, pid)
		}
	}
}
