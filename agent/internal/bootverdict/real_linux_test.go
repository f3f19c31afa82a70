package bootverdict

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const testMachine = "bb9fd3b0d1f94341af1968442fc6cac3"

// recordedRoot lays out what a Debian 12 had on its disk at the first start after an end.
// The files were recorded from systemd 252 in a container; hash tables, which are not
// read, are zeroed, and the kernel's name in wtmp is changed.
func recordedRoot(t *testing.T, name string) string {
	t.Helper()
	if utmpSize(runtime.GOARCH) != utmpSize32 {
		t.Skip("recorded where utmp has 32-bit times")
	}
	root := t.TempDir()
	put := func(name string, b []byte) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	get := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	dir := filepath.Join("testdata", name)
	journals, err := filepath.Glob(filepath.Join(dir, "*.zst"))
	if err != nil || len(journals) == 0 {
		t.Fatal(journals, err)
	}
	for _, j := range journals {
		put("var/log/journal/"+testMachine+"/"+strings.TrimSuffix(filepath.Base(j), ".zst"), unpack(t, get(j)))
	}
	wtmp := get(filepath.Join(dir, "wtmp"))
	put("var/log/wtmp", wtmp)
	// systemd writes the same record into utmp, which lives as long as the boot.
	for b := wtmp; len(b) >= utmpSize32; b = b[utmpSize32:] {
		if b[0] == 2 {
			put("run/utmp", b[:utmpSize32])
		}
	}
	put("etc/machine-id", []byte(testMachine+"\n"))
	put("proc/sys/kernel/random/boot_id", get(filepath.Join(dir, "boot_id")))
	return root
}

func says(o *record.Boot, source string) record.BootBasis {
	for _, b := range o.Basis {
		if b.Source == source {
			return b
		}
	}
	return record.BootBasis{}
}

// What real ends leave behind, with an agent that only knows that it had run before.
func TestRecordedEnds(t *testing.T) {
	for _, c := range []struct {
		dir, previous   string
		verdict, reason string
		journal, wtmp   string
		asked           record.BootAsked
	}{
		{dir: "poweroff", previous: "d4ac39ca-381b-4209-abfb-aced6f823494",
			verdict: record.BootCleanWithoutCapture, reason: record.BootReasonTwoSources,
			journal: "shutdown_completed", wtmp: "shutdown_record",
			asked: record.BootAsked{By: "logind", Type: "poweroff", Basis: "journal"}},
		{dir: "killed", previous: "af4e8c68-520f-499b-9604-44d5ec8e86da",
			verdict: record.BootAbrupt, reason: record.BootReasonTwoSources,
			journal: "ends_without_shutdown", wtmp: "no_shutdown_record"},
		{dir: "force", verdict: record.BootForced, reason: record.BootReasonTwoSources,
			journal: "shut_down_without_stopping", wtmp: "no_shutdown_record",
			asked: record.BootAsked{By: "system_manager", Basis: "journal"}},
		{dir: "force_twice", verdict: record.BootAbrupt, reason: record.BootReasonTwoSources,
			journal: "ends_without_shutdown", wtmp: "no_shutdown_record"},
		{dir: "sigrtmin", verdict: record.BootCleanWithoutCapture, reason: record.BootReasonTwoSources,
			journal: "shutdown_completed", wtmp: "shutdown_record",
			asked: record.BootAsked{By: "signal", Type: "poweroff", Who: "Received SIGRTMIN+4 from PID 39 (sh).", Basis: "journal"}},
		{dir: "sigint", verdict: record.BootCleanWithoutCapture, reason: record.BootReasonTwoSources,
			journal: "shutdown_completed", wtmp: "shutdown_record",
			asked: record.BootAsked{By: "signal", Type: "reboot", Who: "Received SIGINT from PID 39 (sh).", Basis: "journal"}},
	} {
		t.Run(c.dir, func(t *testing.T) {
			root := recordedRoot(t, c.dir)
			// Without a memory of its own the agent judges nothing, but tells which boot it was.
			first, err := Judge(t.Context(), Config{Root: root})
			if err != nil || first.Verdict != record.BootFirstRun {
				t.Fatalf("verdict %+v, error %v", first, err)
			}
			in, err := read(t.Context(), Config{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			previous := ""
			for _, f := range in.Findings {
				if f.Source == sourceJournal {
					previous = f.BootID
				}
			}
			if previous == "" || c.previous != "" && previous != c.previous {
				t.Fatalf("the journal names the boot %q", previous)
			}
			o, err := Judge(t.Context(), Config{Root: root, Memory: Memory{BootID: previous, SeenAt: artifact.Instant{Wall: in.Findings[0].Began}}})
			if err != nil {
				t.Fatal(err)
			}
			if o.Verdict != c.verdict || o.Reason != c.reason || o.PreviousBootID != previous {
				t.Errorf("verdict %s (%s) of boot %s, want %s (%s)", o.Verdict, o.Reason, o.PreviousBootID, c.verdict, c.reason)
			}
			if got := says(o, sourceJournal); got.Says != c.journal {
				t.Errorf("journal: %+v, want %s", got, c.journal)
			}
			if got := says(o, sourceWtmp); got.Says != c.wtmp {
				t.Errorf("wtmp: %+v, want %s", got, c.wtmp)
			}
			if o.AskedBy != c.asked {
				t.Errorf("asked by %+v, want %+v", o.AskedBy, c.asked)
			}
			if o.EndedAfter.Year() != 2026 || o.Gap.Known {
				t.Errorf("ended after %v, gap %+v", o.EndedAfter, o.Gap)
			}
		})
	}
}

// With the agent's own notes of the same boot.
func TestRecordedEndWithCapture(t *testing.T) {
	const id = "d4ac39ca-381b-4209-abfb-aced6f823494"
	at := func(ms int) artifact.Instant {
		return artifact.Instant{Wall: time.Date(2026, 11, 22, 23, 42, 9, ms*1e6, time.UTC), BootNS: int64(1000+ms) * 1e6}
	}
	c := Config{Root: recordedRoot(t, "poweroff"),
		Memory:   Memory{BootID: id, SeenAt: at(100)},
		Recorder: &Recorder{LastAt: at(370), BootID: id, ShutdownMark: true},
		Shutdown: &Shutdown{BootID: id, Source: "logind", Type: "poweroff", NoticedAt: at(371), SealedAt: at(390), ReleasedAt: at(391),
			AddedDelay: 20 * time.Millisecond, AcquisitionID: "acq_1"}}
	o, err := Judge(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if o.Verdict != record.BootCleanWithCapture || !o.LastEvidenceAt.Equal(at(390).Wall) || o.Shutdown.AcquisitionID != "acq_1" {
		t.Errorf("%s", o.AppendJSON(nil))
	}
	if want := (record.BootAsked{By: "logind", Type: "poweroff", Basis: "shutdown_record+journal"}); o.AskedBy != want {
		t.Errorf("asked by %+v", o.AskedBy)
	}
	// The same notes beside a journal that simply ends contradict it.
	c.Root = recordedRoot(t, "killed")
	c.Memory.BootID, c.Recorder.BootID, c.Shutdown.BootID = "af4e8c68-520f-499b-9604-44d5ec8e86da", "af4e8c68-520f-499b-9604-44d5ec8e86da", "af4e8c68-520f-499b-9604-44d5ec8e86da"
	if o, err = Judge(t.Context(), c); err != nil || o.Verdict != record.BootUnknown || o.Reason != record.BootReasonDisagreement {
		t.Errorf("%s, error %v", o.AppendJSON(nil), err)
	}
}

// The agent was absent from the last boot: its notes are of one before.
func TestAgentWasAbsent(t *testing.T) {
	older := artifact.Instant{Wall: time.Date(2026, 11, 22, 23, 42, 9, 0, time.UTC)}
	const id = "d4ac39ca-381b-4209-abfb-aced6f823494"
	o, err := Judge(t.Context(), Config{Root: recordedRoot(t, "killed"), Memory: Memory{BootID: id, SeenAt: older},
		Shutdown: &Shutdown{BootID: id, NoticedAt: older, SealedAt: older, AcquisitionID: "acq_1"}})
	if err != nil {
		t.Fatal(err)
	}
	if o.PreviousBootID != "af4e8c68-520f-499b-9604-44d5ec8e86da" || o.Verdict != record.BootAbrupt ||
		says(o, sourceShutdown).Says != "other_boot" || o.Shutdown != (record.BootShutdown{}) || !o.LastEvidenceAt.IsZero() {
		t.Errorf("%s", o.AppendJSON(nil))
	}
}

// A system without any of the files: nothing is known and nothing is an error.
func TestBareRoot(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "proc/sys/kernel/random"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "proc/sys/kernel/random/boot_id"), []byte("00000000-0000-0000-0000-000000000002\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	o, err := Judge(t.Context(), Config{Root: root, Memory: Memory{BootID: "00000000-0000-0000-0000-000000000001"}})
	if err != nil || o.Verdict != record.BootUnknown || o.Reason != record.BootReasonNoSource {
		t.Fatalf("%+v, error %v", o, err)
	}
	for _, b := range o.Basis {
		if b.Source != sourceBootID && b.Read != readAbsent {
			t.Errorf("%+v", b)
		}
	}
}

// This machine, whatever it is: nothing is left open, and the time is bounded.
func TestThisMachine(t *testing.T) {
	start := time.Now()
	o, err := Judge(t.Context(), Config{})
	if o == nil || o.BootID == "" || len(o.Basis) == 0 {
		t.Fatalf("%+v, error %v", o, err)
	}
	t.Logf("%v, error %v: %s", time.Since(start), err, o.AppendJSON(nil))
}
