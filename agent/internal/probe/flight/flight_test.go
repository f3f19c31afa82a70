package flight_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/flight"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const minute = int64(time.Minute)

func at(boot int64) artifact.Instant {
	return artifact.Instant{Wall: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC).Add(time.Duration(boot)), BootNS: boot}
}

func payload(base int64, events ...entry.Event) (b []byte) {
	for i := range events {
		b = entry.Append(b, base, &events[i])
	}
	return b
}

// two fills a ring with two boots, one heartbeat per minute for an hour, and returns it.
func two(t *testing.T) *ring.Ring {
	t.Helper()
	dir := t.TempDir()
	var rg *ring.Ring
	for _, boot := range []string{"boot one", "boot two"} {
		var err error
		if rg, _, err = ring.Open(ring.Config{Dir: dir, BootID: boot}); err != nil {
			t.Fatal(err)
		}
		for m := int64(1); m <= 60; m++ {
			beat := entry.Event{Type: entry.Heartbeat, Source: entry.SourceRecorder, BootNS: m * minute, UID: -1, EUID: -1, Processes: int(m)}
			if err := rg.Append(entry.KindHeartbeat, at(m*minute), payload(m*minute, beat)); err != nil {
				t.Fatal(err)
			}
		}
		if boot == "boot one" {
			if err := rg.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := rg.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rg.Close() })
	return rg
}

func read(t *testing.T, cfg flight.Config) ([]record.Flight, error) {
	t.Helper()
	var l probetest.Lines
	err := flight.New(cfg).Acquire(t.Context(), &l)
	all := make([]record.Flight, len(l.All))
	for i, line := range l.All {
		if err := json.Unmarshal(line, &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all, err
}

func TestConformance(t *testing.T) {
	rg := two(t)
	probetest.Run(t, probetest.Config{New: func() probe.Probe { return flight.New(flight.Config{Read: rg.Read, BootID: "boot two"}) }})
}

func TestTheLastMinutesOfOneBoot(t *testing.T) {
	rg := two(t)
	for _, boot := range []string{"boot one", "boot two"} {
		for last, want := range map[time.Duration]int{0: 16, 5 * time.Minute: 6, 10 * time.Hour: 60} {
			got, err := read(t, flight.Config{Read: rg.Read, BootID: boot, Last: last})
			if err != nil || len(got) != want {
				t.Errorf("%s, %v: %d of %d lines, %v", boot, last, len(got), want, err)
				continue
			}
			if newest := got[len(got)-1]; newest.BootID != boot || newest.Processes != 60 || newest.Event != "heartbeat" || newest.Source != "recorder" {
				t.Errorf("%s: %+v", boot, newest)
			}
		}
	}
	if got, err := read(t, flight.Config{Read: rg.Read, BootID: "another"}); err != nil || len(got) != 0 {
		t.Errorf("of a boot that never was: %v, %v", got, err)
	}
}

func TestWhatWaitsIsWrittenBefore(t *testing.T) {
	rg := two(t)
	flushed := errors.New("disk full")
	got, err := read(t, flight.Config{Read: rg.Read, BootID: "boot two", Prepare: func() error { return flushed }})
	if len(got) != 16 || !errors.Is(err, flushed) || probe.AsMissing(err) == nil {
		t.Errorf("%d lines, %v", len(got), err)
	}
}

// entries is a ring that is what a test wants.
func entries(list ...any) func(context.Context, ring.ReadFrom) iter.Seq2[ring.Entry, error] {
	return func(context.Context, ring.ReadFrom) iter.Seq2[ring.Entry, error] {
		return func(yield func(ring.Entry, error) bool) {
			for _, v := range list {
				e, _ := v.(ring.Entry)
				err, _ := v.(error)
				if !yield(e, err) {
					return
				}
			}
		}
	}
}

func TestDamageIsMissingAndTheRestIsRead(t *testing.T) {
	good := func(seq uint64) ring.Entry {
		base := int64(seq) * minute
		return ring.Entry{Seq: seq, BootID: "b", At: at(base), Kind: entry.KindMark, Payload: payload(base, entry.Event{Type: entry.Mark, Name: "n"})}
	}
	bad := good(4)
	bad.Payload = append(bad.Payload, 0xff)
	got, err := read(t, flight.Config{BootID: "b", Read: entries(good(2), &ring.Damage{After: 2, Reason: "bits"}, bad, good(5), &ring.Damage{After: 5, Torn: true})})
	m := probe.AsMissing(err)
	if len(got) != 3 || m == nil || m.Skipped != 3 {
		t.Errorf("%d lines, %v", len(got), err)
	}
	// Damage long before the minutes that are wanted does not matter.
	got, err = read(t, flight.Config{BootID: "b", Read: entries(good(2), &ring.Damage{After: 2}, good(3), good(100), good(101))})
	if len(got) != 2 || err != nil {
		t.Errorf("%d lines, %v", len(got), err)
	}
	if _, err := read(t, flight.Config{BootID: "b", Read: entries(good(2), context.DeadlineExceeded)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("broken off: %v", err)
	}
}

func TestFields(t *testing.T) {
	base := 100 * minute
	from := netip.MustParseAddrPort("10.0.0.1:4711")
	to := netip.MustParseAddrPort("192.0.2.9:443")
	none := record.Flight{Seq: 9, At: at(base).Wall, BootNS: base, BootID: "b", UID: -1, EUID: -1, ExitCode: -1}
	with := func(item int, f func(r *record.Flight)) record.Flight { r := none; r.Item = item; f(&r); return r }
	got, err := read(t, flight.Config{BootID: "b", Read: entries(ring.Entry{Seq: 9, BootID: "b", At: at(base), Kind: entry.KindEvents, Payload: payload(base,
		entry.Event{Type: entry.ProcessStarted, Source: entry.SourceConnector, How: entry.HowExec, BootNS: base + 5, PID: 7, PPID: 6, StartTicks: 3, UID: 0, EUID: 1000,
			Comm: []byte("\xffx"), Exe: []byte("/memfd:a (deleted)"), Cmdline: []byte("a\x00b\x00")},
		entry.Event{Type: entry.ProcessStarted, How: entry.HowFork, PID: 8, UID: -1, EUID: -1, Unread: entry.UnreadExe | entry.UnreadIDs | entry.UnreadGone},
		entry.Event{Type: entry.ProcessEnded, PID: 7, UID: -1, EUID: -1, HasStatus: true, Status: 3 << 8},
		entry.Event{Type: entry.ProcessEnded, PID: 7, UID: -1, EUID: -1, HasStatus: true, Status: 11 | 0x80},
		entry.Event{Type: entry.ProcessEnded, Source: entry.SourceProcFS, PID: 7, UID: -1, EUID: -1, AfterNS: base - 5},
		entry.Event{Type: entry.ConnectionClosed, Source: entry.SourceDestroy, PID: 7, UID: 0, EUID: -1, Proto: 6, State: 1, Local: from, Remote: to, Inode: 1, Cookie: 2, IfIndex: 3, HasBytes: true, BytesSent: 4},
		entry.Event{Type: entry.ConnectionListed, UID: -1, EUID: -1, Proto: 17, State: 7, Local: netip.MustParseAddrPort("[fe80::1]:53")},
		entry.Event{Type: 99, UID: -1, EUID: -1},
	)}, ring.Entry{Seq: 10, BootID: "b", At: at(base), Kind: ring.KindGap, Payload: []byte(`{"reason":"buffer_full","entries":17}`)})})
	if err != nil {
		t.Fatal(err)
	}
	want := []record.Flight{
		with(0, func(r *record.Flight) {
			r.Event, r.Source, r.How, r.At, r.BootNS = "process_started", "proc_connector", "exec", at(base+5).Wall, base+5
			r.PID, r.PPID, r.StartTicks, r.UID, r.EUID = 7, 6, 3, 0, 1000
			r.Comm, r.CommRaw, r.Exe, r.ExeDeleted, r.ExeMemFD, r.Args = "\ufffdx", []byte("\xffx"), "/memfd:a", true, true, []string{"a", "b"}
		}),
		with(1, func(r *record.Flight) {
			r.Event, r.How, r.PID, r.Unread, r.UnreadWhy = "process_started", "fork", 8, []string{"exe", "ids"}, []string{"gone"}
		}),
		with(2, func(r *record.Flight) { r.Event, r.PID, r.ExitCode = "process_ended", 7, 3 }),
		with(3, func(r *record.Flight) { r.Event, r.PID, r.ExitSignal, r.CoreDumped = "process_ended", 7, 11, true }),
		with(4, func(r *record.Flight) {
			r.Event, r.Source, r.PID, r.AfterBootNS = "process_ended", "procfs", 7, base-5
		}),
		with(5, func(r *record.Flight) {
			r.Event, r.Source, r.PID, r.UID, r.Family, r.Proto, r.State = "connection_closed", "sock_destroy", 7, 0, "inet", "tcp", "ESTABLISHED"
			r.LocalAddr, r.LocalPort, r.RemoteAddr, r.RemotePort, r.Inode, r.Cookie, r.IfIndex = "10.0.0.1", 4711, "192.0.2.9", 443, 1, 2, 3
			r.BytesKnown, r.BytesAcked = true, 4
		}),
		with(6, func(r *record.Flight) {
			r.Event, r.Family, r.Proto, r.State, r.LocalAddr, r.LocalPort = "connection_listed", "inet6", "udp", "CLOSE", "fe80::1", 53
		}),
		with(7, func(r *record.Flight) { r.Event, r.Name = "unknown", "99" }),
		with(0, func(r *record.Flight) {
			r.Event, r.Seq, r.Source, r.Lost, r.Detail = "gap", 10, "ring", 17, "buffer_full"
		}),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// TestSourcesOfWindows: no evidence of a PC with Windows speaks of /proc.
func TestSourcesOfWindows(t *testing.T) {
	for s := entry.SourceNone; s <= entry.SourceRecorder; s++ {
		if name := flight.NameOn("windows", s); name == "procfs" || name == "sock_diag" || name == "" && s != entry.SourceNone {
			t.Errorf("source %d: %q", s, name)
		}
		if flight.NameOn("linux", s) == "process_table" {
			t.Errorf("source %d on Linux", s)
		}
	}
}
