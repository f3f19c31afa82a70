package journal_test

import (
	"os"
	"path/filepath"
	"testing"

	"hozen/agent/internal/uplink/journal"
)

// TestOpensOnAFullDisk: what was promised before a boot with a full disk is there
// after it, and the torn end of the file spoils nothing that is promised later.
func TestOpensOnAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	one := mustAccept(t, j, command(1))
	j.Close()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`0badc0de {"command":`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	full, err := journal.OpenWithoutRoom(path)
	if err != nil {
		t.Fatal(err)
	}
	two := mustAccept(t, full, command(2))
	full.Close()
	u := open(t, path).Unfinished()
	if len(u) != 2 || u[0].Command.ID != one.Command.ID || u[1].Command.ID != two.Command.ID {
		t.Fatalf("%+v", u)
	}
	if _, err := os.Stat(path + ".damaged"); err == nil {
		t.Error("a line is damaged")
	}
}
