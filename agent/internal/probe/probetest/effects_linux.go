package probetest

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// effects counts what a probe must not cause: children, ended or running, and
// descriptors left open.
func effects(t *testing.T) map[string]int64 {
	t.Helper()
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &ru); err != nil {
		t.Fatal(err)
	}
	children := int64(0)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err == nil {
			children += int64(len(strings.Fields(string(b))))
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]int64{
		"page faults of ended children": ru.Minflt, "switches of ended children": ru.Nvcsw + ru.Nivcsw,
		"running children": children, "open descriptors": int64(len(fds)),
	}
}
