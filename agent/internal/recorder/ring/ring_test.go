package ring_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"hozen/agent/internal/recorder/ring"
	"hozen/internal/artifact"
)

const boot1, boot2 = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, cfg ring.Config) (*ring.Ring, ring.Recovery) {
	t.Helper()
	r, rec, err := ring.Open(cfg)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r, rec
}

func at(i int) artifact.Instant {
	return artifact.Instant{Wall: time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second), BootNS: int64(i) * 1e9}
}

// payload is different for each i and compresses no better than real ones.
func payload(i int) []byte {
	rng := rand.New(rand.NewPCG(uint64(i), 1))
	return fmt.Appendf(nil, `{"n":%d,"exe":"/usr/bin/%x","args":["-c","%x"]}`, i, rng.Uint32(), rng.Uint64())
}

// add appends the entries from..to, each with its own number as payload and instant.
func add(t *testing.T, r *ring.Ring, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		must(t, r.Append(ring.Kind(1+i%200), at(i), payload(i)))
	}
}

// read returns all entries and damage.
func read(t *testing.T, seq func(func(ring.Entry, error) bool)) (entries []ring.Entry, damage []*ring.Damage) {
	t.Helper()
	for e, err := range seq {
		if d, ok := errors.AsType[*ring.Damage](err); ok {
			damage = append(damage, d)
		} else if err != nil {
			t.Fatal(err)
		} else {
			entries = append(entries, e)
		}
	}
	return entries, damage
}

// numbers says which i of add the entries are, and fails when one is not as it was added.
func numbers(t *testing.T, entries []ring.Entry) []int {
	t.Helper()
	var out []int
	for i, e := range entries {
		if i > 0 && e.Seq <= entries[i-1].Seq {
			t.Fatalf("number %d after %d", e.Seq, entries[i-1].Seq)
		}
		if e.Kind == ring.KindGap {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(string(e.Payload), `{"n":%d,`, &n); err != nil {
			t.Fatalf("payload %q", e.Payload)
		}
		if !bytes.Equal(e.Payload, payload(n)) || e.At != at(n) || e.Kind != ring.Kind(1+n%200) {
			t.Fatalf("entry %d is false: %+v", n, e)
		}
		out = append(out, n)
	}
	return out
}

func upTo(from, to int) []int {
	var out []int
	for i := from; i <= to; i++ {
		out = append(out, i)
	}
	return out
}

func wantNumbers(t *testing.T, entries []ring.Entry, want []int) {
	t.Helper()
	if got := numbers(t, entries); !slices.Equal(got, want) {
		t.Fatalf("got %d entries %v, want %d", len(got), got, len(want))
	}
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	cfg := ring.Config{Dir: filepath.Join(t.TempDir(), "a", "ring"), BootID: boot1}
	r, rec := open(t, cfg)
	if rec.Last.Seq != 0 || rec.Segments != 0 {
		t.Errorf("a new ring recovered %+v", rec)
	}
	add(t, r, 1, 20)
	must(t, r.Flush())
	add(t, r, 21, 30)
	entries, damage := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	wantNumbers(t, entries, upTo(1, 30))
	if len(damage) > 0 {
		t.Error(damage)
	}
	for i, e := range entries {
		if e.Seq != uint64(i+1) || e.BootID != boot1 {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	entries, _ = read(t, ring.ReadDir(t.Context(), cfg.Dir, ring.ReadFrom{}))
	wantNumbers(t, entries, upTo(1, 20)) // another process sees what is flushed
	if _, _, err := ring.Open(cfg); !errors.Is(err, ring.ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	must(t, r.Close())
	must(t, r.Close())
	if err := r.Append(1, at(1), nil); !errors.Is(err, ring.ErrClosed) {
		t.Error(err)
	}
	if err := r.Flush(); !errors.Is(err, ring.ErrClosed) {
		t.Error(err)
	}

	r, rec = open(t, cfg)
	want := ring.Position{Seq: 30, BootID: boot1, At: at(30)}
	if rec.Last != want || !rec.Resumed || rec.TornBytes != 0 || rec.Damages != 0 || rec.LastBefore.Seq != 0 {
		t.Errorf("%+v", rec)
	}
	add(t, r, 31, 31)
	must(t, r.Close())
	cfg.BootID = boot2
	r, rec = open(t, cfg)
	if rec.Resumed || rec.Last.Seq != 31 || rec.LastBefore != rec.Last || rec.Segments != 1 || rec.Bytes > 8<<10 {
		t.Errorf("after a boot: %+v", rec)
	}
	add(t, r, 32, 33)
	must(t, r.Close())
	r, rec = open(t, cfg)
	if !rec.Resumed || rec.Last.Seq != 33 || rec.LastBefore.Seq != 31 || rec.LastBefore.BootID != boot1 {
		t.Errorf("twice in a boot: %+v", rec)
	}
	first := ring.Boot{First: at(1).Wall, Last: ring.Position{Seq: 31, BootID: boot1, At: at(31)}}
	if !slices.Equal(rec.Boots, []ring.Boot{first}) {
		t.Errorf("earlier boots: %+v", rec.Boots)
	}
	for _, c := range []struct {
		from ring.ReadFrom
		want []int
	}{
		{ring.ReadFrom{}, upTo(1, 33)},
		{ring.ReadFrom{SinceSeq: 20}, upTo(20, 33)},
		{ring.ReadFrom{Since: at(25).Wall}, upTo(25, 33)},
		{ring.ReadFrom{BootID: boot2}, upTo(32, 33)},
		{ring.ReadFrom{BootID: boot1, SinceSeq: 30}, upTo(30, 31)},
		{ring.ReadFrom{SinceSeq: 34}, nil},
	} {
		for _, seq := range []func(func(ring.Entry, error) bool){r.Read(t.Context(), c.from), ring.ReadDir(t.Context(), cfg.Dir, c.from)} {
			entries, damage := read(t, seq)
			wantNumbers(t, entries, c.want)
			if len(damage) > 0 {
				t.Error(damage)
			}
		}
	}
	must(t, r.Close())
	cfg.BootID = "boot-3"
	_, rec = open(t, cfg)
	second := ring.Boot{First: at(32).Wall, Last: ring.Position{Seq: 33, BootID: boot2, At: at(33)}}
	if !slices.Equal(rec.Boots, []ring.Boot{first, second}) {
		t.Errorf("earlier boots: %+v", rec.Boots)
	}
}

func TestAnyInstantAndPayload(t *testing.T) {
	r, _ := open(t, ring.Config{Dir: t.TempDir(), BootID: boot1})
	instants := []artifact.Instant{{}, {Wall: time.Unix(1<<40, 999999999).UTC(), BootNS: -5}, {Wall: time.Unix(-1<<40, 0).UTC(), BootNS: 1 << 62}, at(3), at(2)}
	payloads := [][]byte{nil, {0}, bytes.Repeat([]byte{7}, ring.MaxPayload), []byte("x"), {}}
	for i := range instants {
		must(t, r.Append(255, instants[i], payloads[i]))
		must(t, r.Flush())
	}
	entries, damage := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	if len(entries) != len(instants) || len(damage) > 0 {
		t.Fatal(len(entries), damage)
	}
	for i, e := range entries {
		if !e.At.Wall.Equal(instants[i].Wall) || e.At.BootNS != instants[i].BootNS || !bytes.Equal(e.Payload, payloads[i]) {
			t.Errorf("%d: %v", i, e.At)
		}
	}
	if err := r.Append(0, at(1), nil); !errors.Is(err, ring.ErrEntry) {
		t.Error(err)
	}
	if err := r.Append(1, at(1), make([]byte, ring.MaxPayload+1)); !errors.Is(err, ring.ErrEntry) {
		t.Error(err)
	}
}

func TestTheRingStaysInItsBounds(t *testing.T) {
	cfg := ring.Config{Dir: memory(t), BootID: boot1, SegmentBytes: 8 << 10, MaxBytes: 512 << 10}
	r, _ := open(t, cfg)
	n := 0
	for range 900 {
		add(t, r, n+1, n+10)
		n += 10
		must(t, r.Flush())
		if s := r.Stats(); s.Bytes > cfg.MaxBytes {
			t.Fatalf("%d bytes", s.Bytes)
		}
	}
	if b := used(t, cfg.Dir); b > cfg.MaxBytes || b < cfg.MaxBytes-2*cfg.SegmentBytes {
		t.Errorf("%d bytes on disk", b)
	}
	entries, damage := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	if len(damage) > 0 || len(entries) < 1000 || len(entries) == n {
		t.Fatalf("%d entries, %v", len(entries), damage)
	}
	wantNumbers(t, entries, upTo(n-len(entries)+1, n))
	entries, damage = read(t, ring.ReadDir(t.Context(), cfg.Dir, ring.ReadFrom{}))
	wantNumbers(t, entries, upTo(n-len(entries)+1, n))
	must(t, r.Close())
	cfg.BootID = boot2
	_, rec := open(t, cfg)
	if rec.Last.Seq != uint64(n) || rec.FirstSeq != entries[0].Seq || rec.Damages > 0 || len(damage) > 0 {
		t.Errorf("%+v", rec)
	}
}

func used(t *testing.T, dir string) (n int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	for _, f := range files {
		fi, err := os.Stat(f)
		must(t, err)
		n += fi.Size()
	}
	return n
}

func TestAFullBufferIsToldInItsPlace(t *testing.T) {
	r, _ := open(t, ring.Config{Dir: t.TempDir(), BootID: boot1, BufferBytes: 80 << 10})
	var kept, lost int
	for i := 1; lost < 50; i++ {
		switch err := r.Append(ring.Kind(1+i%200), at(i), payload(i)); {
		case err == nil && lost == 0:
			kept = i
		case errors.Is(err, ring.ErrBufferFull):
			lost++
		default:
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	select {
	case <-r.Wake():
	default:
		t.Error("nobody was told that the buffer fills")
	}
	must(t, r.Flush())
	add(t, r, kept+51, kept+60)
	entries, _ := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	wantNumbers(t, entries, append(upTo(1, kept), upTo(kept+51, kept+60)...))
	e := entries[kept]
	g, err := e.Gap()
	must(t, err)
	if g.Reason != ring.GapBufferFull || g.Entries != 50 || g.From != at(kept+1) || g.Until != at(kept+50) || e.At != at(kept+50) {
		t.Errorf("%+v", g)
	}
	if s := r.Stats(); s.Lost != 50 {
		t.Errorf("%+v", s)
	}
	if _, err := entries[0].Gap(); !errors.Is(err, ring.ErrEntry) {
		t.Error(err)
	}
}

func TestWhatStillFitsStandsBehindTheGap(t *testing.T) {
	r, _ := open(t, ring.Config{Dir: t.TempDir(), BootID: boot1, BufferBytes: 80 << 10})
	large := make([]byte, 50<<10)
	must(t, r.Append(1, at(1), large))
	if err := r.Append(2, at(2), large); !errors.Is(err, ring.ErrBufferFull) {
		t.Fatal(err)
	}
	must(t, r.Append(3, at(3), nil))
	var kinds []ring.Kind
	for e, err := range r.Read(t.Context(), ring.ReadFrom{}) {
		must(t, err)
		kinds = append(kinds, e.Kind)
	}
	if !slices.Equal(kinds, []ring.Kind{1, ring.KindGap, 3}) {
		t.Error(kinds)
	}
}

func TestManyAppendWhileOneFlushesAndOneReads(t *testing.T) {
	cfg := ring.Config{Dir: t.TempDir(), BootID: boot1, SegmentBytes: 64 << 10, MaxBytes: 64 << 20}
	r, _ := open(t, cfg)
	const writers, each = 8, 2000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				n := w*each + i
				for r.Append(ring.Kind(1+n%200), at(n), payload(n)) != nil {
					if err := r.Flush(); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			if err := r.Flush(); err != nil {
				t.Error(err)
			}
			var last uint64
			for e, err := range r.Read(t.Context(), ring.ReadFrom{SinceSeq: uint64(i * 500)}) {
				if err != nil || (last > 0 && e.Seq != last+1) {
					t.Errorf("entry %d after %d: %v", e.Seq, last, err)
					return
				}
				last = e.Seq
			}
		}
	})
	wg.Wait()
	must(t, r.Close())
	r, _ = open(t, cfg)
	entries, damage := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	if len(damage) > 0 {
		t.Error(damage)
	}
	got := numbers(t, entries)
	slices.Sort(got)
	if !slices.Equal(got, upTo(0, writers*each-1)) {
		t.Errorf("%d entries of %d", len(got), writers*each)
	}
}
