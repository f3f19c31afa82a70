package filelock

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func TestOwnLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "locked file")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	var l probetest.Lines
	err = fresh().Acquire(t.Context(), &l) // others' files may be refused
	for _, b := range l.All {
		var r record.FileLock
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		if r.PID == os.Getpid() && r.Path == name {
			if r.Class != "FLOCK" || r.Access != "WRITE" || r.End != -1 || r.Comm == "" {
				t.Errorf("%s", b)
			}
			return
		}
	}
	t.Errorf("the lock is missing: %v, %d lines", err, len(l.All))
}
