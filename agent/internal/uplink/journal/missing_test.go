package journal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"hozen/agent/internal/uplink/journal"
)

// hole makes zeros of a line of the file, as a power cut does with what was not synced.
func hole(t *testing.T, path string, n int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(b, []byte{'\n'})
	clear(lines[n][:len(lines[n])-1])
	if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

func refused(j *journal.Journal, c journal.Command) bool {
	_, _, err := j.Accept(c)
	return errors.Is(err, journal.ErrCounter)
}

// TestACommandThatAPowerCutTookIsAccepted: it was acknowledged, so the collector sends
// it again, and a later one is there.
func TestACommandThatAPowerCutTookIsAccepted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	settled := command(1)
	mustAccept(t, j, settled)
	j.Close()
	j = open(t, path) // a file of its own: what was before it is settled
	taken := command(2)
	mustAccept(t, j, taken)
	mustAccept(t, j, command(3))
	j.Close()
	hole(t, path, 2)
	for range 2 { // the second time the file is whole, and knows of the hole
		j = open(t, path)
		if !refused(j, command(1)) || !refused(j, command(3)) {
			t.Fatal("a counter that was passed is taken")
		}
		j.Close()
	}
	j = open(t, path)
	mustAccept(t, j, taken)
	if !refused(j, command(2)) {
		t.Fatal("the counter of the lost command is taken twice")
	}
	j.Close()
	j = open(t, path)
	if _, fresh, err := j.Accept(taken); err != nil || fresh || !refused(j, command(2)) || len(j.Unfinished()) != 3 {
		t.Fatalf("fresh=%t %v, %+v", fresh, err, j.Unfinished())
	}
}

// TestOtherDamageLetsNothingInTwice: what was begun had been synced, so the order of it
// was done and is only not known any more.
func TestOtherDamageLetsNothingInTwice(t *testing.T) {
	for name, about := range map[string]func(j *journal.Journal, c journal.Command) error{
		"begun": func(j *journal.Journal, c journal.Command) error { return j.Start(c.ID) },
		"result": func(j *journal.Journal, c journal.Command) error {
			return j.Finish(journal.Result{CommandID: c.ID, Status: journal.Done})
		},
	} {
		path := filepath.Join(t.TempDir(), "journal")
		j := open(t, path)
		done := command(1)
		mustAccept(t, j, done)
		if err := about(j, done); err != nil {
			t.Fatal(err)
		}
		mustAccept(t, j, command(2))
		j.Close()
		hole(t, path, 1)
		if j = open(t, path); !refused(j, done) {
			t.Errorf("%s: done twice", name)
		}
		j.Close()
	}
	// Without the first line nobody knows where the file began.
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	mustAccept(t, j, command(5))
	mustAccept(t, j, command(7))
	j.Close()
	hole(t, path, 0)
	if j = open(t, path); !refused(j, command(6)) {
		t.Error("a counter is taken that may have been passed in another file")
	}
	j.Close()
}
