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

// TestOrdersAboutTheNetworkStayInOrder: an order to isolate or to release that a power
// cut took is not carried out when a later one was begun before it came again, however
// long ago. Evidence is taken all the same.
func TestOrdersAboutTheNetworkStayInOrder(t *testing.T) {
	of := func(counter uint64, v journal.Verb) journal.Command {
		c := command(counter)
		c.Verb = v
		return c
	}
	start := func(j *journal.Journal, c journal.Command) error { return j.Start(c.ID) }
	finish := func(s journal.Status) func(*journal.Journal, journal.Command) error {
		return func(j *journal.Journal, c journal.Command) error {
			if err := j.Finish(journal.Result{CommandID: c.ID, Status: s}); err != nil {
				return err
			}
			return j.Confirm(c.ID)
		}
	}
	for name, c := range map[string]struct {
		lost, later journal.Verb
		did         func(*journal.Journal, journal.Command) error
		want        bool
		more        int // commands since
	}{
		"release, isolated since":          {journal.Release, journal.Isolate, start, true, 0},
		"isolate, released since":          {journal.Isolate, journal.Release, start, true, 0},
		"done, its begin was not noted":    {journal.Release, journal.Isolate, finish(journal.Done), true, 0},
		"long ago":                         {journal.Release, journal.Isolate, finish(journal.Done), true, 300},
		"the later one is not begun":       {journal.Release, journal.Isolate, nil, false, 0},
		"the later one was not to be done": {journal.Release, journal.Isolate, finish(journal.Expired), false, 0},
		"evidence":                         {journal.Acquire, journal.Isolate, start, false, 0},
		"evidence was taken since":         {journal.Release, journal.Acquire, start, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal")
			j := open(t, path)
			mustAccept(t, j, command(1))
			j.Close()
			j = open(t, path)
			lost, later := of(2, c.lost), of(3, c.later)
			mustAccept(t, j, lost)
			mustAccept(t, j, later)
			j.Close()
			hole(t, path, 2)
			j = open(t, path)
			if c.did != nil {
				if err := c.did(j, later); err != nil {
					t.Fatal(err)
				}
			}
			for n := range uint64(c.more) { // what is long settled is forgotten
				e := of(4+n, journal.Acquire)
				mustAccept(t, j, e)
				if err := finish(journal.Done)(j, e); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				j.Close()
				j = open(t, path)
			}
			e := mustAccept(t, j, lost)
			for range 2 {
				if got := j.Superseded(e); got != c.want {
					t.Errorf("superseded %t", got)
				}
				j.Close()
				j = open(t, path)
			}
			e.Started = true // by a process that died
			if j.Superseded(e) {
				t.Error("what was begun is not gone on with")
			}
		})
	}
}
