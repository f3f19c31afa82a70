package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
)

// TestCaptureWithoutTheAgent: when the agent is dead as the PC goes down, the companion
// captures, and the next agent takes it over.
func TestCaptureWithoutTheAgent(t *testing.T) {
	linuxOnly(t, "a unit of systemd captures when the agent cannot")
	state, log := t.TempDir(), newLog(t.Output(), 0, false)
	if err := captureAlone(t.Context(), state, log); err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(state, "spool")
	for range 2 { // the second time there is nothing to do
		if err := adopt(state, into, log); err != nil {
			t.Fatal(err)
		}
	}
	s, err := spool.Open(spool.Config{Dir: into, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list := s.List()
	if len(list) != 1 || list[0].State != spool.Sealed || len(s.Status().Problems) > 0 {
		t.Fatalf("%+v %v", list, s.Status().Problems)
	}
	b, err := os.ReadFile(filepath.Join(into, list[0].AcquisitionID, artifact.ManifestFile))
	if err != nil || !contains(b, `"trigger": "shutdown"`, `"kind": "process"`, `"kind": "netconn"`) {
		t.Fatalf("%s %v", b, err)
	}
	if left, err := os.ReadDir(aloneFolder(state)); err != nil || len(left) > 1 { // the lock
		t.Errorf("%v %v", left, err)
	}
}

func TestNothingToTakeOver(t *testing.T) {
	state := t.TempDir()
	if err := adopt(state, filepath.Join(state, "spool"), newLog(t.Output(), 0, false)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(aloneFolder(state)); err == nil {
		t.Error("a folder was made for nothing")
	}
}

// TestBootIsolation: what was ordered is in force before the network comes up, and
// nothing else is done.
func TestBootIsolation(t *testing.T) {
	for _, ordered := range []isolate.State{isolate.Isolated, isolate.Released} {
		a, w := recorded(t, ordered), &wall{}
		c := newCommand("boot-isolation", os.Getenv, stdio{nil, t.Output(), t.Output()})
		if code := c.atBoot(t.Context(), a.stuck(t, w), a.set.log); code != exitOK || w.closed != (ordered == isolate.Isolated) {
			t.Errorf("%s: exit code %d, closed %v", ordered, code, w.closed)
		}
	}
	a, w := recorded(t, isolate.Isolated), &wall{fail: os.ErrPermission}
	c := newCommand("boot-isolation", os.Getenv, stdio{nil, t.Output(), t.Output()})
	if code := c.atBoot(t.Context(), a.stuck(t, w), a.set.log); code == exitOK {
		t.Error("a PC that could not be isolated passes for isolated")
	}
}

func contains(b []byte, parts ...string) bool {
	for _, p := range parts {
		if !bytes.Contains(b, []byte(p)) {
			return false
		}
	}
	return true
}
