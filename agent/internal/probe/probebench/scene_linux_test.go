package main

import (
	"os"
	"path/filepath"
	"testing"

	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact/record"
)

// A process of the scene is there, asleep, with the descriptors that it was given.
func TestOneProcessOfTheScene(t *testing.T) {
	dir := t.TempDir()
	exe := filepath.Join(dir, "sleeper")
	if err := os.WriteFile(exe, sleeper(), 0o755); err != nil {
		t.Fatal(err)
	}
	pid, err := startOne(dir, exe, 7, []string{"A=b"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		p.Kill()
		p.Wait()
	}()
	pass := scan.New(scan.Options{})
	procs, _ := pass.Processes(t.Context()) // others' secrets are not this test's business
	lists, _ := pass.Files(t.Context())
	var seen *record.Process
	for _, r := range procs {
		if r.PID == pid {
			seen = r
		}
	}
	if seen == nil || seen.Exe != exe || len(seen.Args) != 5 || seen.State == "Z" {
		t.Fatalf("%+v", seen)
	}
	for _, l := range lists {
		if l.PID == pid && len(l.FDs) < scenePlain+sceneSockets { // more when whoever runs the test leaks some
			t.Errorf("%d descriptors", len(l.FDs))
		}
	}
	procsRead, fdsRead := newLimit(2, false).read()
	if procsRead < len(procs)-5 || fdsRead < scenePlain+sceneSockets {
		t.Errorf("the limit reader saw %d processes, %d descriptors; the pass %d processes", procsRead, fdsRead, len(procs))
	}
}
