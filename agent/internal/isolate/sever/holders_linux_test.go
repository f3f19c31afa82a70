package sever

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Every socket of a process with very many descriptors has its name, and those of others too.
func TestProcessWithManyDescriptors(t *testing.T) {
	const many = descriptorsMax + 3*batch + 1
	proc := t.TempDir()
	var found []socket
	for pid, n := range map[string]int{"10": many, "11": 1} {
		dir := filepath.Join(proc, pid, "fd")
		check(t, os.MkdirAll(dir, 0o700))
		for i := range n {
			inode := uint32(len(found) + 1)
			check(t, os.Symlink(fmt.Sprintf("socket:[%d]", inode), filepath.Join(dir, fmt.Sprint(i))))
			var s socket
			s.Inode = inode
			found = append(found, s)
		}
	}
	New(Config{Proc: proc}).holders(t.Context(), found, time.Hour)
	count := map[uint32]int{}
	for _, s := range found {
		count[s.PID]++
	}
	if count[10] != many || count[11] != 1 || len(count) != 2 {
		t.Errorf("sockets of each process: %v", count)
	}
}
