package recorder_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/recorder"
	"hozen/agent/internal/recorder/entry"
)

const second = int64(time.Second)

func TestHeartbeatsAndFlushesInEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1, 2, 3), new(kept)
		_, stop := run(t, m, k)
		time.Sleep(35 * time.Second)
		synctest.Wait()
		beats := k.of(t, entry.Heartbeat)
		if len(beats) != 4 {
			t.Fatalf("%d heartbeats in 35 s", len(beats))
		}
		for i, b := range beats {
			if b.BootNS != int64(time.Hour)+int64(i)*10*second || b.Processes != 3 || b.IntervalNS != 10*second || b.kind != entry.KindHeartbeat {
				t.Errorf("%d: %+v", i, b)
			}
		}
		if k.onDisk != len(k.entries) {
			t.Errorf("%d of %d entries are on disk", k.onDisk, len(k.entries))
		}
		snap := k.of(t, entry.Snapshot, entry.ProcessListed)
		if len(snap) != 4 || snap[0].Processes != 3 || snap[1].PID != 1 || snap[1].StartTicks != 10 || string(snap[1].Exe) != "/bin/p" {
			t.Errorf("snapshot: %+v", snap)
		}
		stop()
		if n := len(k.of(t, entry.Heartbeat)); n != 5 || k.onDisk != len(k.entries) {
			t.Errorf("at the end: %d heartbeats, %d of %d on disk", n, k.onDisk, len(k.entries))
		}
	})
}

func TestEverythingIsListedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1, 2), new(kept)
		_, stop := run(t, m, k)
		time.Sleep(recorder.DefaultFullEvery*recorder.DefaultEvery*2 + time.Second)
		stop()
		if n, all := len(k.of(t, entry.Snapshot)), len(k.of(t, entry.ProcessListed)); n != 3 || all != 6 {
			t.Errorf("%d snapshots with %d processes", n, all)
		}
	})
}

func TestEventsShareEntriesAndKeepTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1), new(kept)
		_, stop := run(t, m, k)
		time.Sleep(time.Second / 2)
		synctest.Wait()
		for pid := 100; pid < 110; pid++ {
			m.tell(entry.Event{Type: entry.ProcessStarted, How: entry.HowFork, PPID: 1, PID: pid, UID: -1, EUID: -1, BootNS: m.clock().BootNS})
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		stop()
		started := k.of(t, entry.ProcessStarted)
		if len(started) != 10 || started[0].seq != started[9].seq {
			t.Fatalf("%d starts, entries %v", len(started), started)
		}
		for i, e := range started {
			if want := int64(time.Hour) + second/2 + int64(i)*int64(10*time.Millisecond); e.BootNS != want || e.PID != 100+i {
				t.Errorf("%d: process %d at %d, want %d", i, e.PID, e.BootNS, want)
			}
		}
		if at := started[0].at.BootNS; at != int64(time.Hour)+second/2 {
			t.Errorf("entry made at %d", at)
		}
	})
}

func TestManyEventsAreSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1), new(kept)
		_, stop := run(t, m, k)
		synctest.Wait()
		for pid := 100; pid < 3100; pid++ {
			m.tell(entry.Event{Type: entry.ProcessStarted, How: entry.HowExec, PID: pid, Cmdline: make([]byte, 200), UID: -1, EUID: -1})
		}
		stop()
		if n := len(k.of(t, entry.ProcessStarted)); n != 3000 {
			t.Errorf("%d of 3000 are on record", n)
		}
	})
}

func TestWithoutEventsProcIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1, 2), new(kept)
		m.refuse = errors.ErrUnsupported
		_, stop := run(t, m, k)
		time.Sleep(5*time.Second + time.Second/2)
		m.set(7, 70)
		time.Sleep(time.Second)
		m.set(7, 0)
		time.Sleep(time.Second)
		m.set(2, 999) // another process with the same number
		time.Sleep(5 * time.Second)
		stop()
		gaps := k.of(t, entry.Gap)
		if len(gaps) == 0 || gaps[0].Source != entry.SourceConnector || len(gaps[0].Detail) == 0 {
			t.Errorf("it does not say so: %+v", gaps)
		}
		type line struct {
			typ       entry.Type
			pid       int
			start     uint64
			at, after int64
		}
		var got []line
		for _, e := range k.of(t, entry.ProcessStarted, entry.ProcessEnded) {
			got = append(got, line{e.Type, e.PID, e.StartTicks, (e.BootNS - int64(time.Hour)) / second, (e.AfterNS - int64(time.Hour)) / second})
		}
		want := []line{
			{entry.ProcessStarted, 7, 70, 6, 5}, {entry.ProcessEnded, 7, 70, 7, 6},
			{entry.ProcessEnded, 2, 20, 10, 0}, {entry.ProcessStarted, 2, 999, 10, 0},
		}
		if len(got) != len(want) {
			t.Fatalf("got %+v", got)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%d: got %+v, want %+v", i, got[i], want[i])
			}
		}
	})
}

// Events that never came show when /proc is compared; those that are only late do not.
func TestLostEventsShowInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1, 2, 3), new(kept)
		_, stop := run(t, m, k)
		time.Sleep(5 * time.Second)
		m.set(50, 500) // never told
		m.set(3, 0)    // never told
		m.set(60, 600)
		m.set(2, 0)
		time.Sleep(10 * time.Second) // one sweep sees all four
		m.tell(entry.Event{Type: entry.ProcessStarted, How: entry.HowExec, PID: 60, StartTicks: 600, UID: 0, EUID: 0})
		m.tell(entry.Event{Type: entry.ProcessEnded, PID: 2, UID: -1, EUID: -1, Source: entry.SourceConnector})
		time.Sleep(20 * time.Second)
		stop()
		var found, ended []int
		for _, e := range k.of(t, entry.ProcessStarted, entry.ProcessEnded) {
			switch {
			case e.Type == entry.ProcessStarted && e.How == entry.HowSeen:
				found = append(found, e.PID)
			case e.Type == entry.ProcessEnded && e.Source == entry.SourceProcFS:
				ended = append(ended, e.PID)
			}
		}
		if len(found) != 1 || found[0] != 50 || len(ended) != 1 || ended[0] != 3 {
			t.Errorf("found %v, ended %v", found, ended)
		}
	})
}

// A process that forked and went on without an exec is looked at once.
func TestForksAreLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1), new(kept)
		_, stop := run(t, m, k)
		synctest.Wait()
		m.set(9, 90)
		m.tell(entry.Event{Type: entry.ProcessStarted, How: entry.HowFork, PPID: 1, PID: 9, UID: -1, EUID: -1})
		time.Sleep(40 * time.Second)
		stop()
		got := k.of(t, entry.ProcessStarted)
		if len(got) != 2 || got[1].How != entry.HowSeen || got[1].StartTicks != 90 || string(got[1].Cmdline) != "p\x00" {
			t.Errorf("%+v", got)
		}
	})
}

func TestABrokenSourceIsAGapAndIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1), new(kept)
		m.broken = make(chan error)
		_, stop := run(t, m, k)
		synctest.Wait()
		m.broken <- errors.New("pulled")
		synctest.Wait()
		m.set(5, 50)
		time.Sleep(3 * time.Second)
		if got := k.of(t, entry.ProcessStarted); len(got) != 0 && got[0].PID != 5 {
			t.Errorf("while it is broken: %+v", got)
		}
		time.Sleep(2 * time.Minute)
		stop()
		gap := false
		for _, e := range k.of(t, entry.Gap) {
			gap = gap || e.Source == entry.SourceConnector && string(e.Detail) == "the source broke: pulled"
		}
		if !gap || m.opened != 2 || len(k.of(t, entry.Snapshot)) != 2 || len(k.of(t, entry.ProcessStarted)) != 1 {
			t.Errorf("gap %t, opened %d times, %d snapshots, %+v", gap, m.opened, len(k.of(t, entry.Snapshot)), k.of(t, entry.ProcessStarted))
		}
	})
}

func TestMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1), new(kept)
		r, stop := run(t, m, k)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		m.tell(entry.Event{Type: entry.ProcessEnded, PID: 77, UID: -1, EUID: -1})
		r.Mark("shutdown noticed", []byte(`{"type":"poweroff"}`))
		synctest.Wait()
		if k.onDisk != len(k.entries) {
			t.Error("a mark waits for the interval")
		}
		stop()
		marks := k.of(t, entry.Mark)
		if len(marks) != 1 || marks[0].Name != "shutdown noticed" || string(marks[0].Detail) != `{"type":"poweroff"}` || marks[0].kind != entry.KindMark || marks[0].BootNS != int64(time.Hour)+3*second {
			t.Fatalf("%+v", marks)
		}
		if ended := k.of(t, entry.ProcessEnded); len(ended) != 1 || ended[0].seq >= marks[0].seq {
			t.Error("what was told before stands behind")
		}
	})
}

func TestClocksThatJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1), new(kept)
		_, stop := run(t, m, k)
		time.Sleep(15 * time.Second)
		m.mu.Lock()
		m.offset = -2 * time.Hour
		m.mu.Unlock()
		time.Sleep(10 * time.Second)
		m.mu.Lock()
		m.slept = 8 * time.Hour
		m.mu.Unlock()
		time.Sleep(20 * time.Second)
		stop()
		steps, slept := k.of(t, entry.ClockStep), k.of(t, entry.Slept)
		if len(steps) != 1 || steps[0].StepNS != -int64(2*time.Hour) {
			t.Errorf("steps: %+v", steps)
		}
		if len(slept) != 1 || slept[0].StepNS != int64(8*time.Hour) {
			t.Errorf("slept: %+v", slept)
		}
	})
}

func TestSlowSweepsBecomeRarer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1), new(kept)
		m.slow = 500 * time.Millisecond // five times its share
		_, stop := run(t, m, k)
		time.Sleep(101 * time.Second)
		stop()
		th := k.of(t, entry.Throttled)
		if len(th) != 1 || th[0].IntervalNS != 50*second {
			t.Errorf("%+v", th)
		}
		if n := len(k.of(t, entry.Heartbeat)); n < 11 {
			t.Errorf("%d heartbeats in 101 s", n)
		}
	})
}

// A process whose memory cannot be read must not stop the recorder.
func TestAStuckProcessHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1, 2, 3), new(kept)
		m.broken = make(chan error)
		m.stuck[2] = true
		m.refuse = errors.ErrUnsupported
		_, stop := run(t, m, k)
		time.Sleep(25 * time.Second)
		stop()
		listed := k.of(t, entry.ProcessListed)
		if len(listed) != 3 || listed[1].PID != 2 || listed[1].Unread&entry.UnreadCmdline == 0 || listed[1].StartTicks != 20 || listed[2].Unread != 0 {
			t.Errorf("%+v", listed)
		} else if listed[1].Unread&entry.UnreadStuck == 0 || string(listed[1].Exe) != "/bin/p" {
			t.Errorf("not what the kernel knows of it: %+v", listed[1])
		}
		stuck := 0
		for _, e := range k.of(t, entry.Gap) {
			if strings.HasPrefix(string(e.Detail), "not read: stuck: process 2 ") {
				stuck++
			}
		}
		if stuck != 1 {
			t.Errorf("%d gaps say that it is stuck", stuck)
		}
		if n := len(k.of(t, entry.Heartbeat)); n != 4 {
			t.Errorf("%d heartbeats", n)
		}
		m.broken <- nil // let go
	})
}

func TestTroubleWithTheRingIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1), &kept{err: errors.New("no disk")}
		_, stop := run(t, m, k)
		time.Sleep(25 * time.Second)
		stop() // compares
		if k.flushes < 3 {
			t.Errorf("gave up after %d writes", k.flushes)
		}
	})
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := recorder.NewBudget()
		b.Spend(1100 * time.Millisecond)
		if b.Allow() {
			t.Error("more than there was")
		}
		time.Sleep(9 * time.Second)
		if b.Allow() {
			t.Error("too soon")
		}
		time.Sleep(2 * time.Second)
		if !b.Allow() || b.Spent() != 1100*time.Millisecond {
			t.Errorf("one hundredth of 11 s, spent %v", b.Spent())
		}
		time.Sleep(time.Hour)
		b.Spend(time.Second + time.Millisecond)
		if b.Allow() {
			t.Error("saved up more than a second")
		}
	})
}

// late is a source that was not done when it was told to end.
type late struct{ n int }

func (l late) Run(ctx context.Context, emit func(*entry.Event)) error {
	<-ctx.Done()
	for pid := 1000; pid < 1000+l.n; pid++ {
		emit(&entry.Event{Type: entry.ProcessStarted, How: entry.HowExec, PID: pid, Cmdline: make([]byte, 200), UID: -1, EUID: -1})
	}
	return ctx.Err()
}
func (late) Close() error { return nil }

// What sources tell while they end is written as ever, at the disk's pace.
func TestTheEndWaitsForWhatIsToldYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1), new(kept)
		sources := m.sources()
		sources.Events = func(*recorder.Budget) (recorder.Source, error) { return late{10_000}, nil }
		r, err := recorder.New(recorder.Config{Ring: k, Clock: m.clock, Sources: sources})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
		if n := len(k.of(t, entry.ProcessStarted)); n != 10_000 || k.onDisk != len(k.entries) {
			t.Errorf("%d of 10000 are on record, %d of %d entries on disk", n, k.onDisk, len(k.entries))
		}
		if k.most > 256<<10 {
			t.Errorf("%d bytes waited for the disk", k.most)
		}
		for _, e := range k.of(t, entry.Gap) {
			if e.Source == entry.SourceRecorder {
				t.Errorf("a gap: %s", e.Detail)
			}
		}
	})
}

// deaf is a source that does not hear that it is over.
type deaf struct{ release chan struct{} }

func (d deaf) Run(context.Context, func(*entry.Event)) error { <-d.release; return nil }
func (deaf) Close() error                                    { return nil }

func TestAHangingSourceDoesNotDelayTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1), new(kept)
		sources := m.sources()
		release := make(chan struct{})
		sources.Events = func(*recorder.Budget) (recorder.Source, error) { return deaf{release}, nil }
		r, err := recorder.New(recorder.Config{Ring: k, Clock: m.clock, Sources: sources})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		begun := time.Now()
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 18*time.Second {
			t.Errorf("ended after %v", took)
		}
		if n := len(k.of(t, entry.Heartbeat)); n != 3 || k.onDisk != len(k.entries) {
			t.Errorf("%d heartbeats, %d of %d on disk", n, k.onDisk, len(k.entries))
		}
		gaps := k.of(t, entry.Gap)
		if last := string(gaps[len(gaps)-1].Detail); !strings.Contains(last, "did not end within") {
			t.Errorf("what it did not tell is no gap: %s", last)
		}
		close(release)
	})
}

// More than the ring's buffer holds comes at once: sources wait for the disk, but not
// for one that hangs.
func TestBurstsWaitForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, k := newMachine(1), new(kept)
		_, stop := run(t, m, k)
		synctest.Wait()
		burst := func() {
			for pid := 100; pid < 5100; pid++ {
				m.tell(entry.Event{Type: entry.ProcessStarted, How: entry.HowExec, PID: pid, Cmdline: make([]byte, 200), UID: -1, EUID: -1})
			}
		}
		burst()
		if k.most > 256<<10 {
			t.Errorf("%d bytes waited for the disk", k.most)
		}
		k.hang(true)
		begun := time.Now()
		burst()
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("events waited %v for a disk that hangs", took)
		}
		k.hang(false)
		stop()
		if n := len(k.of(t, entry.ProcessStarted)); n != 10000 {
			t.Errorf("%d of 10000 are on record", n)
		}
	})
}
