package journal_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/uplink/journal"
	"hozen/internal/crashpoint"
	"hozen/internal/id"
)

func event(k journal.EventKind) journal.IsolationEvent {
	return journal.IsolationEvent{ID: id.New(id.IsolationEvent), Kind: k, At: at, Count: 1}
}

func TestLifeOfAnEvent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	one, two := event(journal.EventDrift), event(journal.EventReleasedByCode)
	one.Differences, one.Seen, one.By, one.Detail, one.CommandID = []string{"a"}, []string{"nft[1]"}, "root", "d", id.New(id.Command)
	one.Isolation = &journal.Isolation{
		Desired: journal.StateIsolated, Observed: journal.StateIsolated, Mode: journal.ModeSelective, Until: at, LeaseUntil: at, Held: "here", Drill: true, Persisted: true,
		Confirmation: &journal.Confirmation{By: at, Fallback: journal.RollBack, MissedAt: at}, Severed: &journal.Severed{At: at, Took: 3, Destroyed: 4},
		Trials: []journal.Trial{{Name: "tcp4", Outcome: journal.TrialAsOrdered, Target: "192.0.2.1:53", At: at, Dropped: 2}}, Limits: []string{"no egress"},
	}
	for _, e := range []journal.IsolationEvent{one, two, one} {
		if err := j.AddEvent(e); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		j.Close()
		j = open(t, path) // the second time from what the first wrote anew
		if got := j.Events(); !reflect.DeepEqual(got, []journal.IsolationEvent{one, two}) {
			t.Fatalf("after a restart: %+v", got)
		}
	}
	for range 2 {
		if err := j.ConfirmEvent(one.ID); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	j = open(t, path)
	if got := j.Events(); len(got) != 1 || got[0].ID != two.ID {
		t.Fatalf("%+v", got)
	}
}

// TestAStormOfEvents: the newest win, what was given up is counted, one event of another
// kind is not lost among them, and the file stays small.
func TestAStormOfEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	rare := event(journal.EventReleasedByCode)
	if err := j.AddEvent(rare); err != nil {
		t.Fatal(err)
	}
	const storm = 1500
	var last journal.IsolationEvent
	for range storm {
		last = event(journal.EventDrift)
		last.Seen = []string{strings.Repeat("x", 500)}
		if err := j.AddEvent(last); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		all := j.Events()
		if len(all) > 1000 || len(all) < 500 || all[0].ID != rare.ID || all[len(all)-1].ID != last.ID {
			t.Fatalf("%d events, first %s, last %s", len(all), all[0].Kind, all[len(all)-1].ID)
		}
		count, dropped := 0, 0
		for _, e := range all[1:] {
			count += e.Count
			dropped += e.Dropped
		}
		if count != storm || dropped != storm-(len(all)-1) {
			t.Fatalf("%d events stand for %d, %d of them dropped", len(all)-1, count, dropped)
		}
		if fi, err := os.Stat(path); err != nil || fi.Size() > 5<<20 {
			t.Fatalf("the file has %d bytes, %v", fi.Size(), err)
		}
	}
	check()
	j.Close()
	j = open(t, path)
	check()
	for _, e := range j.Events() {
		if err := j.ConfirmEvent(e.ID); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	if j = open(t, path); len(j.Events()) != 0 {
		t.Fatal("confirmed events are still sent")
	}
	if fi, err := os.Stat(path); err != nil || fi.Size() > 4<<10 {
		t.Fatalf("the file has %d bytes, %v", fi.Size(), err)
	}
}

// TestBigEvents: few large ones are bounded by their bytes.
func TestBigEvents(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	big := func() journal.IsolationEvent {
		e := event(journal.EventDrift)
		for range 64 {
			e.Seen = append(e.Seen, strings.Repeat("y", 512))
		}
		return e
	}
	for range 100 {
		if err := j.AddEvent(big()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(j.Events()); n > 33 || n < 20 {
		t.Fatalf("%d events of 32 KB are kept", n)
	}
}

func TestEventsThatAreNotOnDisk(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	f := journal.Faults{Sync: errors.New("no disk")}
	j.Break(&f)
	e := event(journal.EventLeak)
	if err := j.AddEvent(e); err == nil || len(j.Events()) != 0 {
		t.Fatal("promised what is not on disk")
	}
	f = journal.Faults{}
	if err := j.AddEvent(e); err != nil || len(j.Events()) != 1 {
		t.Fatal(err, j.Events())
	}
}

// TestSettledOrderForgetsItsCode: once the collector has the result, nothing of the
// order's details is needed, a code's hash least of all.
func TestSettledOrderForgetsItsCode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	c := command(1)
	c.Isolate = &journal.IsolateOrder{Mode: journal.ModeFull, Lease: time.Hour, Code: &journal.ReleaseCode{Number: "123456789012", Hash: []byte("hash of the code"), Salt: []byte("salt"), Iterations: 1}}
	c.Notice = &journal.Notice{Text: "お知らせ", Phone: "03-1234-5678"}
	mustAccept(t, j, c)
	j.Close()
	j = open(t, path)
	if got := j.Unfinished()[0].Command; !reflect.DeepEqual(got.Isolate, c.Isolate) || *got.Notice != *c.Notice {
		t.Fatalf("after a restart: %+v", got)
	}
	if err := errors.Join(j.Finish(journal.Result{CommandID: c.ID, Status: journal.Done, FinishedAt: at}), j.Confirm(c.ID)); err != nil {
		t.Fatal(err)
	}
	j.Close()
	j = open(t, path)
	e, fresh, err := j.Accept(c)
	if err != nil || fresh || e.Command.Isolate != nil || e.Result == nil {
		t.Fatalf("%+v %t %v", e, fresh, err)
	}
	b, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(b), `"hash"`) {
		t.Fatalf("%s %v", b, err)
	}
}

// TestBigOrders: orders with many permits neither fill the journal nor have it written
// anew at every line.
func TestBigOrders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, path)
	rewrites := j.CountRewrites()
	var full error
	for n := range uint64(10_000) {
		c := command(n + 1)
		c.Isolate = &journal.IsolateOrder{Mode: journal.ModeSelective}
		for range 64 {
			c.Isolate.Permits = append(c.Isolate.Permits, journal.Permit{Network: "192.0.2.7/32", Reason: strings.Repeat("r", 256), Host: strings.Repeat("h", 253)})
		}
		if _, _, full = j.Accept(c); full != nil {
			break
		}
	}
	if !errors.Is(full, journal.ErrFull) {
		t.Fatal(full)
	}
	waiting := j.Unfinished()
	for _, e := range waiting {
		if err := errors.Join(j.Finish(journal.Result{CommandID: e.Command.ID, Status: journal.Done, FinishedAt: at}), j.Confirm(e.Command.ID)); err != nil {
			t.Fatal(err)
		}
	}
	if n := *rewrites; n > 8 {
		t.Errorf("%d orders had the file written anew %d times", len(waiting), n)
	}
	j.Close()
	open(t, path)
	if fi, err := os.Stat(path); err != nil || fi.Size() > 256<<10 {
		t.Errorf("the file has %d bytes, %v", fi.Size(), err)
	}
}

const childPath = "HOZEN_TEST_JOURNAL"

// TestKilledWhileKeepingEvents kills a process in the middle: every event of which it
// said that it is kept is there.
func TestKilledWhileKeepingEvents(t *testing.T) {
	if path := os.Getenv(childPath); path != "" {
		keepEvents(t, path)
		return
	}
	points := []string{""}
	if crashpoint.Enabled {
		points = append(points, crashpoint.JournalEvent+".before:9", crashpoint.JournalEvent+".after:9", crashpoint.JournalConfirm+".before:3", crashpoint.JournalConfirm+".after:3")
	}
	for _, point := range points {
		path := filepath.Join(t.TempDir(), "journal")
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileKeepingEvents$")
		cmd.Env = append(os.Environ(), childPath+"="+path, "HOZEN_CRASH_AT="+point)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		said := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			what, eventID, ok := strings.Cut(lines.Text(), " ")
			if !ok {
				continue
			}
			there[eventID] = what == "kept"
			if said++; said == 60 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || said == 0 {
			t.Fatalf("%q: not killed: %v, said %d lines", point, err, said)
		}
		j := open(t, path)
		for _, e := range j.Events() {
			delete(there, e.ID)
		}
		for eventID, kept := range there {
			if kept {
				t.Errorf("%q: %s was kept and is not there", point, eventID)
			}
		}
		if err := j.AddEvent(event(journal.EventDrift)); err != nil {
			t.Errorf("%q: %v", point, err)
		}
		j.Close()
	}
}

// keepEvents keeps events for ever, confirms every third, and says so.
func keepEvents(t *testing.T, path string) {
	j := open(t, path)
	for n := 0; ; n++ {
		e := event(journal.EventDrift)
		if err := j.AddEvent(e); err != nil {
			t.Fatal(err)
		}
		fmt.Println("kept " + e.ID)
		if n%3 == 0 {
			fmt.Println("settled " + e.ID) // from now on it may be gone
			if err := j.ConfirmEvent(e.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}
