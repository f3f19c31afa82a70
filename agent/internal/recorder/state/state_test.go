package state_test

import (
	"errors"
	"iter"
	"testing"

	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
	"hozen/agent/internal/recorder/state"
	"hozen/internal/artifact"
)

// record makes entries of events.
type record []ring.Entry

func (r *record) add(kind ring.Kind, events ...entry.Event) {
	var b []byte
	for _, e := range events {
		b = entry.Append(b, 1000, &e)
	}
	*r = append(*r, ring.Entry{Seq: uint64(len(*r) + 1), BootID: "boot", At: artifact.Instant{BootNS: 1000}, Kind: kind, Payload: b})
}

func (r record) read() iter.Seq2[ring.Entry, error] {
	return func(yield func(ring.Entry, error) bool) {
		for _, e := range r {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func list(processes, connections int) entry.Event {
	return entry.Event{Type: entry.Snapshot, Source: entry.SourceProcFS, Processes: processes, Connections: connections, UID: -1, EUID: -1}
}

func process(pid int, exe string) entry.Event {
	return entry.Event{Type: entry.ProcessListed, PID: pid, StartTicks: uint64(pid), Exe: []byte(exe), Cmdline: []byte(exe), Comm: []byte("c")}
}

func socket(t entry.Type, cookie uint64, pid int) entry.Event {
	return entry.Event{Type: t, Cookie: cookie, PID: pid, Proto: 6}
}

// What stands between the entries of a list happened after it.
func TestWhatHappensWhileAListIsWritten(t *testing.T) {
	var r record
	r.add(entry.KindSnapshot, list(3, 2))
	r.add(entry.KindSnapshot, process(1, "/a"), process(2, "/b"))
	r.add(entry.KindEvents,
		entry.Event{Type: entry.ProcessEnded, PID: 3}, entry.Event{Type: entry.ProcessEnded, PID: 2},
		entry.Event{Type: entry.ProcessStarted, How: entry.HowFork, PID: 4, PPID: 1, UID: -1, EUID: -1},
		socket(entry.ConnectionClosed, 9, 0), socket(entry.ConnectionChanged, 8, 4))
	r.add(entry.KindSnapshot, process(3, "/c"), socket(entry.ConnectionListed, 8, 0), socket(entry.ConnectionListed, 9, 1))
	for seq := range uint64(4) {
		if _, err := state.At(r.read(), seq); !errors.Is(err, state.ErrNoList) {
			t.Errorf("half a list, at %d: %v", seq, err)
		}
	}
	s, err := state.At(r.read(), 4)
	if err != nil || len(s.Processes) != 2 || s.Processes[1].Exe != "/a" || s.Processes[4].Exe != "/a" || s.Processes[4].PPID != 1 || len(s.Connections) != 1 || s.Connections[8].PID != 4 {
		t.Errorf("%v, %+v", err, s)
	}
	if s.List != 1 || s.Seq != 4 || len(s.Gaps) != 0 {
		t.Errorf("list %d, entry %d, gaps %v", s.List, s.Seq, s.Gaps)
	}
}

// A list that a crash or a full buffer cut off does not replace what was known.
func TestAListThatIsNotWholeDoesNotCount(t *testing.T) {
	var r record
	r.add(entry.KindSnapshot, list(1, 0), process(1, "/a"))
	r.add(entry.KindSnapshot, list(2, 0), process(5, "/x"))
	r.add(entry.KindEvents, entry.Event{Type: entry.ProcessStarted, How: entry.HowExec, PID: 2, Exe: []byte("/b")})
	s, err := state.At(r.read(), 3)
	if err != nil || s.List != 1 || len(s.Processes) != 2 || s.Processes[2].Exe != "/b" {
		t.Errorf("%v, %+v", err, s)
	}
	r.add(entry.KindSnapshot, list(1, 0), process(7, "/y"))
	if s, err = state.At(r.read(), 4); err != nil || s.List != 4 || len(s.Processes) != 1 || s.Processes[7].Exe != "/y" {
		t.Errorf("%v, %+v", err, s)
	}
}

// Gaps stay until a list that was compared with /proc; another boot knows nothing of this.
func TestGaps(t *testing.T) {
	var r record
	r.add(entry.KindSnapshot, list(1, 0), process(1, "/a"))
	r.add(entry.KindEvents, entry.Event{Type: entry.Gap, Source: entry.SourceConnector, Lost: 7, Detail: []byte("why")})
	r = append(r, ring.Entry{Seq: 3, BootID: "boot", Kind: ring.KindGap, Payload: []byte(`{"reason":"buffer_full","entries":2}`)})
	unverified := list(1, 0)
	unverified.Source = entry.SourceRecorder
	r.add(entry.KindSnapshot, unverified, process(1, "/a"))
	r.add(entry.KindHeartbeat, entry.Event{Type: entry.Heartbeat, Processes: 2})
	s, err := state.At(r.read(), 4)
	if err != nil || s.List != 4 || len(s.Gaps) != 2 || s.Gaps[0].Lost != 7 || s.Gaps[0].Detail != "why" || s.Gaps[1].Lost != 2 || s.Gaps[1].Detail != ring.GapBufferFull {
		t.Errorf("%v, %+v", err, s)
	}
	if s, _ = state.At(r.read(), 5); len(s.Gaps) != 3 {
		t.Errorf("a heartbeat that counts another number: %+v", s.Gaps)
	}
	if s, _ = state.At(r[3:].read(), 4); len(s.Gaps) != 1 {
		t.Errorf("from a list of memory on: %+v", s.Gaps)
	}
	r.add(entry.KindSnapshot, list(1, 0), process(1, "/a"))
	if s, _ = state.At(r.read(), 6); len(s.Gaps) != 0 {
		t.Errorf("after a list that was compared: %+v", s.Gaps)
	}
	damaged := func(yield func(ring.Entry, error) bool) {
		for i, e := range r {
			if i == len(r)-1 {
				yield(ring.Entry{}, &ring.Damage{Reason: "torn"})
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
	if s, _ = state.At(damaged, 99); len(s.Gaps) != 4 || s.Seq != 5 {
		t.Errorf("damage: %+v", s.Gaps)
	}
	r = append(r, ring.Entry{Seq: 7, BootID: "next", Kind: entry.KindEvents})
	if _, err = state.At(r.read(), 7); !errors.Is(err, state.ErrNoList) {
		t.Errorf("another boot: %v", err)
	}
}

// What nobody could read of an exec is not what the process was before.
func TestAnExecThatWasNotReadIsUnknown(t *testing.T) {
	p := state.Processes{}
	listed := process(1, "/a")
	p.Apply(&listed)
	const nothing = entry.UnreadExe | entry.UnreadCmdline | entry.UnreadStat | entry.UnreadIDs | entry.UnreadBudget
	p.Apply(&entry.Event{Type: entry.ProcessStarted, How: entry.HowFork, PID: 2, PPID: 1, UID: -1, EUID: -1})
	p.Apply(&entry.Event{Type: entry.ProcessStarted, How: entry.HowExec, PID: 2, UID: -1, EUID: -1, Unread: nothing})
	got := p[2]
	if got.Exe != "" || got.Cmdline != "" || got.Comm != "" || got.PPID != 1 || got.UID != 0 || got.Unread != nothing&^entry.UnreadIDs {
		t.Errorf("%+v", got)
	}
	// The list says so, and the same comes out of it.
	again := state.Processes{}
	e := got.Listed(2)
	again.Apply(&e)
	if again[2] != got {
		t.Errorf("%+v, want %+v", again[2], got)
	}
	p.Apply(&entry.Event{Type: entry.ProcessStarted, How: entry.HowSeen, PID: 2, PPID: 1, StartTicks: 9, Exe: []byte("/b"), Cmdline: []byte("b"), Comm: []byte("b")})
	if got = p[2]; got.Exe != "/b" || got.Start != 9 || got.Unread != 0 {
		t.Errorf("looked at: %+v", got)
	}
	p.Apply(&entry.Event{Type: entry.ProcessStarted, How: entry.HowFork, PID: 3, PPID: 99, UID: -1, EUID: -1})
	if got = p[3]; got.UID != -1 || got.Unread&entry.UnreadExe == 0 {
		t.Errorf("of a parent that nobody knows: %+v", got)
	}
}

func FuzzReplay(f *testing.F) {
	var r record
	r.add(entry.KindSnapshot, list(1, 1), process(1, "/a"), socket(entry.ConnectionListed, 8, 0))
	r.add(entry.KindEvents, entry.Event{Type: entry.ProcessStarted, How: entry.HowFork, PID: 4, PPID: 1}, entry.Event{Type: entry.Gap})
	for _, e := range r {
		f.Add(e.Kind == entry.KindSnapshot, e.Payload)
	}
	f.Fuzz(func(t *testing.T, snapshot bool, payload []byte) {
		kind := ring.Kind(entry.KindEvents)
		if !snapshot {
			kind = ring.KindGap
		}
		var p state.Replay
		for seq := range uint64(3) {
			p.Entry(&ring.Entry{Seq: seq, Kind: kind, Payload: payload})
			if s, ok := p.State(); ok && (len(s.Gaps) > state.MostGaps || len(s.Processes) > state.MostProcesses) {
				t.Errorf("%d gaps, %d processes", len(s.Gaps), len(s.Processes))
			}
		}
	})
}
