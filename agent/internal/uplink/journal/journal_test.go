package journal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"hozen/agent/internal/uplink/journal"
	"hozen/internal/id"
)

var at = time.Date(2026, 11, 22, 3, 4, 5, 6, time.UTC)

func open(t *testing.T, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(journal.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func command(counter uint64) journal.Command {
	return journal.Command{ID: id.New(id.Command), Counter: counter, Verb: journal.Isolate, Reason: "virus", IssuedAt: at}
}

func mustAccept(t *testing.T, j *journal.Journal, c journal.Command) journal.Entry {
	t.Helper()
	e, fresh, err := j.Accept(c)
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	return e
}

func TestLifeOfACommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "journal")
	j := open(t, path)
	c := command(7)
	first := mustAccept(t, j, c)
	if id.Check(id.Acquisition, first.Command.AcquisitionID) != nil {
		t.Fatalf("no acquisition chosen: %+v", first)
	}
	reopen := func() {
		t.Helper()
		j.Close()
		j = open(t, path)
	}
	reopen()
	if u := j.Unfinished(); len(u) != 1 || u[0].Command != first.Command || u[0].Started {
		t.Fatalf("accepted command is not there after a restart: %+v", u)
	}
	again, fresh, err := j.Accept(c)
	if err != nil || fresh || again.Command.AcquisitionID != first.Command.AcquisitionID {
		t.Fatalf("the same command again: %+v fresh=%t %v", again, fresh, err)
	}
	if _, _, err := j.Accept(command(7)); !errors.Is(err, journal.ErrCounter) {
		t.Fatalf("another command with a passed counter: %v", err)
	}
	if err := j.Start(c.ID); err != nil {
		t.Fatal(err)
	}
	reopen()
	if u := j.Unfinished(); len(u) != 1 || !u[0].Started {
		t.Fatalf("begin forgotten: %+v", u)
	}
	r := journal.Result{CommandID: c.ID, Status: journal.Done, FinishedAt: at, Isolation: &journal.Isolation{Observed: journal.StateIsolated, DroppedPackets: 3}}
	if err := j.Finish(r); err != nil {
		t.Fatal(err)
	}
	if err := j.Finish(journal.Result{CommandID: c.ID, Status: journal.Failed}); err != nil {
		t.Fatal(err)
	}
	reopen()
	if u := j.Unconfirmed(); len(j.Unfinished()) != 0 || len(u) != 1 || u[0].Status != journal.Done || u[0].Isolation.DroppedPackets != 3 {
		t.Fatalf("result: %+v", u)
	}
	for range 2 {
		if err := j.Confirm(c.ID); err != nil {
			t.Fatal(err)
		}
	}
	reopen()
	if len(j.Unconfirmed()) != 0 {
		t.Fatal("confirmed result is still sent")
	}
	if e, fresh, err := j.Accept(c); err != nil || fresh || e.Result == nil {
		t.Fatalf("a finished command came again: %+v fresh=%t %v", e, fresh, err)
	}
	if err := j.Start(id.New(id.Command)); !errors.Is(err, journal.ErrUnknown) {
		t.Fatalf("unknown command: %v", err)
	}
}

func TestOrderIsByCounter(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	for n := range uint64(20) {
		mustAccept(t, j, command(n+1))
	}
	for i, e := range j.Unfinished() {
		if e.Command.Counter != uint64(i+1) {
			t.Fatalf("position %d has counter %d", i, e.Command.Counter)
		}
	}
}

func TestAlerts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	a := journal.Alert{ID: id.New(id.Alert), Message: "画面に変な表示", Reporter: "hanako", ReportedAt: at}
	for range 2 {
		if err := j.AddAlert(a); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	j = open(t, path)
	if got := j.Alerts(); len(got) != 1 || got[0] != a {
		t.Fatalf("%+v", got)
	}
	want := journal.AlertReceipt{AlertID: a.ID, IncidentNumber: "INC-2026-0001", IncidentID: id.New(id.Incident)}
	if err := j.ConfirmAlert(want); err != nil {
		t.Fatal(err)
	}
	j.Close()
	j = open(t, path)
	if got, err := j.AlertReceipt(a.ID); len(j.Alerts()) != 0 || err != nil || got == nil || *got != want {
		t.Fatal(got, err)
	}
	if _, err := j.AlertReceipt(id.New(id.Alert)); !errors.Is(err, journal.ErrUnknown) {
		t.Fatal(err)
	}
}

// TestTornAtEveryByte cuts the file at each length: whatever was promised before the
// cut line is there, and the journal goes on.
func TestTornAtEveryByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	one, two := command(1), command(2)
	mustAccept(t, j, one)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustAccept(t, j, two)
	j.Close()
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(before); n <= len(after); n++ {
		p := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(p, after[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, p)
		want := 1
		if n == len(after) {
			want = 2
		}
		if got := j.Unfinished(); len(got) != want || got[0].Command.ID != one.ID {
			t.Fatalf("cut at %d of %d: %d commands", n, len(after), len(got))
		}
		mustAccept(t, j, command(3))
		j.Close()
		if got := open(t, p).Unfinished(); len(got) != want+1 {
			t.Fatalf("cut at %d: %d commands after going on", n, len(got))
		}
		if _, err := os.Stat(p + ".damaged"); err == nil {
			t.Fatalf("cut at %d: a torn end was taken for damage", n)
		}
	}
}

func TestDamagedLineIsPassedOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	mustAccept(t, j, command(1))
	mustAccept(t, j, command(2))
	j.Close()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(b, []byte{'\n'})
	lines[1][len(lines[1])/2] ^= 1
	if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := open(t, path).Unfinished(); len(got) != 1 || got[0].Command.Counter != 2 {
		t.Fatalf("%+v", got)
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Fatal("the damaged file was not kept:", err)
	}
}

func TestStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	last := command(3000)
	for n := range uint64(3000) {
		c := command(n + 1)
		if n == 2999 {
			c = last
		}
		mustAccept(t, j, c)
		if err := j.Finish(journal.Result{CommandID: c.ID, Status: journal.Done, FinishedAt: at}); err != nil {
			t.Fatal(err)
		}
		if err := j.Confirm(c.ID); err != nil {
			t.Fatal(err)
		}
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Size() > 2<<20 {
		t.Errorf("file has %d bytes", fi.Size())
	}
	j.Close()
	j = open(t, path)
	if fi, _ := os.Stat(path); fi.Size() > 256<<10 {
		t.Errorf("file has %d bytes after opening", fi.Size())
	}
	if _, _, err := j.Accept(command(3000)); !errors.Is(err, journal.ErrCounter) {
		t.Fatalf("counter forgotten: %v", err)
	}
	if _, fresh, err := j.Accept(last); fresh || err != nil {
		t.Fatalf("newest finished command forgotten: %t %v", fresh, err)
	}
}

// TestFaults: what failed was not promised and is not done; what was promised before
// and after it is there.
func TestFaults(t *testing.T) {
	for name, f := range map[string]journal.Faults{"write": {Write: syscall.ENOSPC}, "sync": {Sync: syscall.EIO}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal")
			j := open(t, path)
			one := mustAccept(t, j, command(1))
			now := f
			j.Break(&now)
			if _, _, err := j.Accept(command(2)); err == nil && f.Write != nil {
				t.Fatal("promised what was not written")
			}
			if n := len(j.Unfinished()); n != 1 && f.Write != nil {
				t.Fatalf("%d commands would be carried out", n)
			}
			if err := j.AddAlert(journal.Alert{ID: id.New(id.Alert)}); err == nil || len(j.Alerts()) != 0 {
				t.Fatal("promised what is not on disk")
			}
			if err := j.Start(one.Command.ID); err == nil {
				t.Fatal("began without a synced journal")
			}
			now = journal.Faults{}
			if err := j.Finish(journal.Result{CommandID: one.Command.ID, Status: journal.Done, FinishedAt: at}); err != nil {
				t.Fatal("the journal does not recover:", err)
			}
			three := mustAccept(t, j, command(3))
			j.Close()
			j = open(t, path)
			u := j.Unfinished()
			if len(u) == 0 || u[len(u)-1].Command.ID != three.Command.ID || len(j.Unconfirmed()) != 1 || len(u) != 1 && f.Write != nil {
				t.Fatalf("%+v", u)
			}
			if _, err := os.Stat(path + ".damaged"); err == nil {
				t.Error("the file was damaged")
			}
		})
	}
}

// TestFullDisk: the journal has put room aside, so that orders still get through.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	j.Break(&journal.Faults{Full: path + ".reserve"})
	mustAccept(t, j, command(1))
	mustAccept(t, j, command(2))
	j.Close()
	if n := len(open(t, path).Unfinished()); n != 2 {
		t.Fatalf("%d commands", n)
	}
	if _, err := os.Stat(path + ".reserve"); err != nil {
		t.Error("no room is put aside again:", err)
	}
}

// TestManyAtOnce: several goroutines promise at the same time; nothing is lost.
func TestManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	for n := range uint64(64) {
		mustAccept(t, j, command(n+1))
	}
	var wg sync.WaitGroup
	for _, e := range j.Unfinished() {
		wg.Go(func() {
			if err := errors.Join(j.Start(e.Command.ID), j.Finish(journal.Result{CommandID: e.Command.ID, Status: journal.Done, FinishedAt: at})); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := j.AddAlert(journal.Alert{ID: id.New(id.Alert)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	j.Close()
	j = open(t, path)
	if len(j.Unfinished()) != 0 || len(j.Unconfirmed()) != 64 || len(j.Alerts()) != 64 {
		t.Fatalf("%d unfinished, %d results, %d alerts", len(j.Unfinished()), len(j.Unconfirmed()), len(j.Alerts()))
	}
}

func TestClosedJournalPromisesNothing(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	j.Close()
	if _, _, err := j.Accept(command(1)); err == nil {
		t.Fatal("accepted after close")
	}
	if len(j.Unfinished()) != 0 {
		t.Fatal("command believed without being kept")
	}
}

func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "journal")
	j, err := journal.Open(journal.Config{Path: path})
	if err != nil {
		f.Fatal(err)
	}
	c := command(1)
	if _, _, err := j.Accept(c); err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(j.Finish(journal.Result{CommandID: c.ID, Status: journal.Done}), j.AddAlert(journal.Alert{ID: id.New(id.Alert)}), j.AddEvent(event(journal.EventDrift)), j.Close()); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("00000000 {}\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := journal.Open(journal.Config{Path: p})
		if err != nil {
			t.Fatal(err)
		}
		n, events := len(j.Unfinished()), len(j.Events())
		j.Close()
		j, err = journal.Open(journal.Config{Path: p})
		if err != nil || len(j.Unfinished()) != n || len(j.Events()) != events {
			t.Fatalf("second opening: %v, %d commands, were %d; %d events, were %d", err, len(j.Unfinished()), n, len(j.Events()), events)
		}
		j.Close()
	})
}
