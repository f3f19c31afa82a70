//go:build linux

package nft

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"hozen/internal/netlab"
)

// Every other namespace of the machine is passed on once, ours never, and nothing by an
// agent that lives in one of the others.
func TestOthersOfTheMachine(t *testing.T) {
	if !inMachine(t) {
		return
	}
	one := elsewhereProcess(t, "--net")
	users := elsewhereProcess(t, "--user", "--map-root-user", "--net")
	want := map[uint64]string{}
	for _, pid := range []int{one, users} {
		want[inodeOf(fmt.Sprintf("/proc/%d/ns/net", pid))] = fmt.Sprintf("process %d (", pid)
	}
	var order []uint64
	pass := func(file *os.File, inode uint64, who string) {
		order = append(order, inode)
		if got := inodeOf(fmt.Sprintf("/proc/self/fd/%d", file.Fd())); got != inode || want[inode] == "" || !strings.HasPrefix(who, want[inode]) {
			t.Errorf("%d, by its descriptor %d, of %s", inode, got, who)
		}
		check(t, file.Close())
	}
	if unseen := New(Config{}).Others(t.Context(), pass); unseen != 0 || len(order) != 2 || order[1] != inodeOf(fmt.Sprintf("/proc/%d/ns/net", users)) {
		t.Errorf("passed on %v of %v, %d unseen", order, want, unseen)
	}
	h, err := netlab.NewHost()
	check(t, err)
	defer h.Close()
	order = nil
	if unseen := New(Config{NetNS: h.FD()}).Others(t.Context(), pass); unseen != 0 || order != nil {
		t.Errorf("to somebody elsewhere: %v, %d", order, unseen)
	}
}
