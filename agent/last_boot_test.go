package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/bootverdict"
	"hozen/agent/internal/config"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
	"hozen/agent/internal/shutdown"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	bootA = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	bootB = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
	bootX = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"
)

// boots leaves in state what agents of earlier boots leave, a minute each: a recording of
// all, and the note of a shutdown for those who had one.
func boots(t *testing.T, state string, noted func(id string) bool, ids ...string) {
	t.Helper()
	begin := time.Now().Add(-time.Hour).UTC().Round(0)
	for i, id := range ids {
		at := artifact.Instant{Wall: begin.Add(time.Duration(i) * time.Minute), BootNS: int64(time.Second)}
		r, _, err := ring.Open(ring.Config{Dir: filepath.Join(state, "recorder"), BootID: id, MaxBytes: config.Default().Recorder.MaxBytes})
		must(t, err)
		mark := entry.Event{Type: entry.Mark, Source: entry.SourceRecorder, BootNS: at.BootNS, UID: -1, EUID: -1, Name: "of " + id[:1]}
		must(t, r.Append(entry.KindMark, at, entry.Append(nil, at.BootNS, &mark)))
		must(t, r.Close())
		if !noted(id) {
			continue
		}
		p, err := shutdown.New(shutdown.Config{Dir: powerFolder(state), BootID: id,
			Acquire: func(_ context.Context, o acquire.Order) (acquire.Result, error) {
				return acquire.Result{AcquisitionID: o.AcquisitionID, Manifest: captured(3, 2)}, nil
			},
			Clock: func() artifact.Instant { return at },
		})
		must(t, err)
		p.Handle(t.Context(), notice(shutdown.Down, shutdown.SourceLogind))
		must(t, p.Wait(t.Context()))
	}
}

// captured is a manifest with so many processes and connections.
func captured(processes, connections int64) artifact.Manifest {
	return artifact.Manifest{Outcome: artifact.Complete, Probes: []artifact.ProbeOutcome{
		{Kind: artifact.KindProcess, Outcome: artifact.Complete, Records: processes},
		{Kind: artifact.KindNetConn, Outcome: artifact.Complete, Records: connections},
		{Kind: artifact.KindShutdown, Outcome: artifact.Complete, Records: 1},
	}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lines reads an artifact of a sealed acquisition.
func lines(t *testing.T, a *agent, acquisitionID, kind string) (out [][]byte) {
	t.Helper()
	r, err := a.spool.Open(acquisitionID)
	must(t, err)
	defer r.Close()
	b := make([]byte, 1<<20)
	n, _ := r.ReadAt("artifacts/"+kind+".jsonl.zst", b, 0) // up to its end
	d, err := zstd.NewReader(nil)
	must(t, err)
	defer d.Close()
	plain, err := d.DecodeAll(b[:n], nil)
	must(t, err)
	return slices.Collect(bytes.Lines(plain))
}

// TestAShortBootErasesNothing: boot A had an incident and went down in order, boot B died
// before anything was judged. Both become evidence at the next start, each with its own
// recording, A with its own note; once.
func TestAShortBootErasesNothing(t *testing.T) {
	state := shortDir(t)
	must(t, bootverdict.Remember(powerFolder(state), bootverdict.Memory{BootID: bootA, SeenAt: artifact.Instant{Wall: time.Now().Add(-time.Hour), BootNS: 1}}))
	boots(t, state, func(id string) bool { return id != bootB }, bootX, bootA, bootB)
	a, err := newAgent(settings{config: config.Default(), state: state, socket: filepath.Join(state, "s"), log: newLog(t.Output(), 0, false)})
	must(t, err)
	t.Cleanup(a.close)
	if a.bootID == "" {
		t.Skip("this system does not say which boot it is")
	}
	for range 2 {
		must(t, a.judgeLastBoots(t.Context()))
	}
	var flights, verdicts []string
	for _, i := range a.spool.List() {
		m, err := a.kept(i.AcquisitionID)
		must(t, err)
		if m.Trigger != artifact.TriggerBoot {
			t.Errorf("trigger %s", m.Trigger)
		}
		for _, l := range lines(t, a, i.AcquisitionID, "flight") {
			var f struct {
				Name   string `json:"name"`
				BootID string `json:"boot_id"`
			}
			must(t, json.Unmarshal(l, &f))
			flights = append(flights, f.Name+" "+f.BootID)
		}
		if slices.ContainsFunc(m.Probes, func(p artifact.ProbeOutcome) bool { return p.Kind == artifact.KindBoot && p.Records == 0 }) {
			continue // of the last one, where the system has no sources
		}
		var b record.Boot
		must(t, json.Unmarshal(lines(t, a, i.AcquisitionID, "boot")[0], &b))
		if b.PreviousBootID == bootA {
			if b.BootID != bootB || b.Shutdown.AcquisitionID == "" || b.LastEvidenceAt.IsZero() || b.EndedBefore.IsZero() || b.EndedBefore.Before(b.EndedAfter) {
				t.Errorf("of the boot before the last: %s", b.AppendJSON(nil))
			}
		}
		verdicts = append(verdicts, b.PreviousBootID)
	}
	if want := []string{"of a " + bootA, "of b " + bootB}; !slices.Equal(slices.Sorted(slices.Values(flights)), want) {
		t.Errorf("recordings %q, want %q", flights, want)
	}
	if !slices.Contains(verdicts, bootA) || len(verdicts) > 2 {
		t.Errorf("verdicts on %q", verdicts)
	}
	m, err := bootverdict.Load(powerFolder(state))
	must(t, err)
	if left, err := shutdown.Kept(powerFolder(state)); m.BootID != a.bootID || err != nil || len(left) > 0 {
		t.Errorf("remembered %+v, kept %+v, %v", m, left, err)
	}
}

// TestHowFarItCame: what stops the judging of the second boot is gone on from there.
func TestHowFarItCame(t *testing.T) {
	state := shortDir(t)
	must(t, bootverdict.Remember(powerFolder(state), bootverdict.Memory{BootID: bootA, SeenAt: artifact.Instant{Wall: time.Now().Add(-time.Hour), BootNS: 1}}))
	boots(t, state, func(string) bool { return true }, bootA, bootB)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The PC goes down after the first.
	log := newLog(writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("acquisition sealed")) {
			cancel()
		}
		return t.Output().Write(b)
	}), 0, false)
	a, err := newAgent(settings{config: config.Default(), state: state, socket: filepath.Join(state, "s"), log: log})
	must(t, err)
	t.Cleanup(a.close)
	if err := a.judgeLastBoots(ctx); err == nil {
		t.Error("all are judged")
	}
	m, err := bootverdict.Load(powerFolder(state))
	must(t, err)
	if m.BootID != bootB {
		t.Errorf("remembered %+v", m)
	}
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestWhichBootsAreJudged(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 4, 1, 9, minute, 0, 0, time.UTC) }
	recorded := func(id string, minute int) ring.Boot {
		return ring.Boot{First: at(minute), Last: ring.Position{BootID: id, At: artifact.Instant{Wall: at(minute), BootNS: 1}}}
	}
	note := func(id string, minute int) shutdown.Last {
		return shutdown.Last{BootID: id, Notices: []record.ShutdownNotice{{At: at(minute)}}, Down: &shutdown.Episode{NoticedAt: artifact.Instant{Wall: at(minute)}}}
	}
	remembered := func(id string, minute int) bootverdict.Memory {
		return bootverdict.Memory{BootID: id, SeenAt: artifact.Instant{Wall: at(minute)}}
	}
	for name, c := range map[string]struct {
		memory   bootverdict.Memory
		recorded []ring.Boot
		notes    []shutdown.Last
		want     []string
	}{
		"the first":                   {want: nil},
		"the usual":                   {memory: remembered("b", 2), recorded: []ring.Boot{recorded("a", 1), recorded("b", 2)}, want: []string{"b"}},
		"two":                         {memory: remembered("a", 1), recorded: []ring.Boot{recorded("a", 1), recorded("b", 2)}, want: []string{"a", "b"}},
		"the clock went back":         {memory: remembered("a", 9), recorded: []ring.Boot{recorded("a", 9), recorded("b", 2)}, want: []string{"a", "b"}},
		"no recorder":                 {memory: remembered("a", 1), want: []string{"a"}},
		"no recorder, but notes":      {memory: remembered("a", 1), notes: []shutdown.Last{note("a", 3), note("b", 5)}, want: []string{"a noted", "b noted"}},
		"recorder of the second only": {memory: remembered("a", 1), recorded: []ring.Boot{recorded("b", 4)}, want: []string{"a", "b"}},
		"older notes":                 {memory: remembered("b", 4), recorded: []ring.Boot{recorded("b", 4)}, notes: []shutdown.Last{note("a", 3), {BootID: "z"}}, want: []string{"b"}},
		"memory lost":                 {recorded: []ring.Boot{recorded("a", 1), recorded("b", 2)}, notes: []shutdown.Last{note("b", 3)}, want: []string{"b noted"}},
		"this boot is no past one":    {memory: remembered("b", 2), recorded: []ring.Boot{recorded("b", 2), recorded("now", 4)}, notes: []shutdown.Last{note("now", 5)}, want: []string{"b"}},
	} {
		var got []string
		for _, b := range pastBoots(c.memory, c.recorded, c.notes, "now") {
			if b.note != nil {
				b.id += " noted"
			}
			got = append(got, b.id)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestNothingAliveIsNoCaptureOfABoot: what was sealed with the notice alone does not make
// an end with capture.
func TestNothingAliveIsNoCaptureOfABoot(t *testing.T) {
	at := artifact.Instant{Wall: time.Now(), BootNS: 1}
	l := shutdown.Last{BootID: bootA, Down: &shutdown.Episode{NoticedAt: at, SealedAt: at, ReleasedAt: at, AcquisitionID: "acq_x", Outcome: artifact.Partial}}
	if s := noted(l); s.AcquisitionID == "" || s.SealedAt != at {
		t.Errorf("%+v", s)
	}
	l.Down.Empty = true
	if s := noted(l); s.AcquisitionID != "" || !s.SealedAt.Wall.IsZero() || s.NoticedAt != at {
		t.Errorf("with nothing in it: %+v", s)
	}
}

// TestWhoAskedIsNoCode: what asked is a code that consoles translate, who did stands beside.
func TestWhoAskedIsNoCode(t *testing.T) {
	at := artifact.Instant{Wall: time.Now(), BootNS: 1}
	l := shutdown.Last{BootID: bootA, Down: &shutdown.Episode{NoticedAt: at, Source: shutdown.SourcePreserve}, Notices: []record.ShutdownNotice{
		{At: at.Wall, Event: shutdown.Down, Source: shutdown.SourcePreserve, ByUID: 1000, ByTTY: "pts/1"},
	}}
	o := bootverdict.Decide(bootverdict.Input{BootID: bootB, Shutdown: noted(l)})
	if want := (record.BootAsked{By: "preserve", Who: "uid 1000, tty pts/1", Basis: "shutdown_record"}); o.AskedBy != want {
		t.Errorf("%+v, want %+v", o.AskedBy, want)
	}
	l.Down.Source = shutdown.SourceLogind
	if s := noted(l); s.By != "" || s.Who == "" {
		t.Errorf("asked by somebody else: %+v", s)
	}
}
