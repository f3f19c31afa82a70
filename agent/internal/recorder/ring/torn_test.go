package ring_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hozen/agent/internal/recorder/ring"
)

// sample makes a ring of two segments, of two boots, and returns its files, and for
// each group where it begins in the second file and its last number.
func sample(t *testing.T) (names []string, files [][]byte, ends []int64, last []int) {
	t.Helper()
	cfg := ring.Config{Dir: t.TempDir(), BootID: boot2, SegmentBytes: 8 << 10}
	r, _ := open(t, cfg)
	add(t, r, 1, 10)
	must(t, r.Flush())
	add(t, r, 11, 25)
	must(t, r.Close())
	cfg.BootID = boot1
	r, _ = open(t, cfg)
	n, off := 25, int64(1024)
	for _, size := range []int{1, 14, 2} {
		add(t, r, n+1, n+size)
		n += size
		written := r.Stats().Written
		must(t, r.Flush())
		off += r.Stats().Written - written
		ends, last = append(ends, off), append(last, n)
	}
	must(t, r.Close())
	for _, name := range []string{"00000001.ring", "00000002.ring"} {
		b, err := os.ReadFile(filepath.Join(cfg.Dir, name))
		must(t, err)
		names, files = append(names, name), append(files, b)
	}
	return names, files, ends, last
}

// memory is a folder where a sync costs nothing, for tests that open a ring thousands
// of times; an ordinary one where there is none.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "ring")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func lay(t *testing.T, dir string, names []string, files [][]byte) {
	t.Helper()
	for i, name := range names {
		must(t, os.WriteFile(filepath.Join(dir, name), files[i], 0o600))
	}
}

func clean(t *testing.T, dir string) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(dir, "*.ring"))
	must(t, err)
	for _, f := range old {
		must(t, os.Remove(f))
	}
}

// goOn opens what is left in dir, appends one entry if told to, and reads all of it
// again: what was whole must be there, and nothing else.
func goOn(t *testing.T, dir, boot string, want []int, write bool) (ring.Recovery, []*ring.Damage) {
	t.Helper()
	cfg := ring.Config{Dir: dir, BootID: boot, SegmentBytes: 8 << 10}
	r, rec, err := ring.Open(cfg)
	must(t, err)
	defer r.Close()
	if write {
		add(t, r, 900, 900)
		must(t, r.Flush())
		want = append(slices.Clone(want), 900)
	}
	entries, damage := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	wantNumbers(t, entries, want)
	must(t, r.Close())
	entries, again := read(t, ring.ReadDir(t.Context(), dir, ring.ReadFrom{}))
	wantNumbers(t, entries, want)
	if len(again) != len(damage) {
		t.Errorf("read twice: %v, %v", damage, again)
	}
	return rec, damage
}

// TestTornAtEveryByte cuts the newest file at every length, once as a file that is
// shorter and once with zeros or old bytes where the rest should be, and goes on.
func TestTornAtEveryByte(t *testing.T) {
	names, files, ends, last := sample(t)
	dir := memory(t)
	size := ends[len(ends)-1] + 600
	step := int64(1)
	if testing.Short() { // under Wine each opening takes its time
		step = 97
	}
	for cut := int64(0); cut <= size; cut += step {
		want, whole := upTo(1, 25), int64(1024)
		for i, end := range ends {
			if cut >= end || !anyByte(files[1][cut:end]) {
				want, whole = upTo(1, last[i]), end
			}
		}
		for _, how := range []string{"short", "zeros"} {
			b := slices.Clone(files[1][:cut])
			if how == "zeros" {
				b = append(b, make([]byte, int64(len(files[1]))-cut)...)
			}
			clean(t, dir)
			lay(t, dir, names, [][]byte{files[0], b})
			boot := boot1
			if cut%2 == 0 {
				boot = "another"
			}
			rec, damage := goOn(t, dir, boot, want, cut%11 == 0)
			// A header that lacks its last bytes is none, even where they were zeros.
			header := cut < 512 && (how == "short" || anyByte(files[1][cut:512]))
			if header {
				if rec.Damages != 1 || len(damage) != 1 || rec.Resumed {
					t.Fatalf("%s at %d in the header: %+v, %v", how, cut, rec, damage)
				}
				continue
			}
			torn := int64(len(bytes.TrimRight(b[min(whole, int64(len(b))):], "\x00")))
			if rec.Damages != 0 || len(damage) != 0 || rec.TornBytes != torn || rec.Last.Seq != uint64(want[len(want)-1]) || rec.Resumed != (boot == boot1) {
				t.Fatalf("%s at %d: %+v (want %d torn), %v", how, cut, rec, torn, damage)
			}
		}
	}
}

func anyByte(b []byte) bool { return len(bytes.Trim(b, "\x00")) > 0 }

// TestEveryByteFlipped changes each byte of either file: the group that it is in is
// lost and told, every other one is there, and nothing false is read.
func TestEveryByteFlipped(t *testing.T) {
	names, files, ends, last := sample(t)
	dir := memory(t)
	all := last[len(last)-1]
	step := 1
	if testing.Short() {
		step = 97
	}
	for f := range files {
		for i := 0; i < min(len(files[f]), int(ends[len(ends)-1])+300); i += step {
			old := files[f][i]
			files[f][i] ^= byte(1 + i%255)
			clean(t, dir)
			lay(t, dir, names, files)
			entries, damage := read(t, ring.ReadDir(t.Context(), dir, ring.ReadFrom{}))
			got := numbers(t, entries)
			lost := missing(got, all)
			if len(lost) > 0 && len(damage) == 0 {
				t.Fatalf("byte %d of file %d: %d entries are lost silently", i, f, len(lost))
			}
			if len(lost) > 20 || (len(lost) > 0 && lost[len(lost)-1]-lost[0] != len(lost)-1) {
				t.Fatalf("byte %d of file %d costs %v", i, f, lost)
			}
			if f == 1 && i >= int(ends[0]) && len(lost) > 0 && lost[0] <= last[0] {
				t.Fatalf("byte %d of file %d costs %v", i, f, lost)
			}
			if i < 512 && len(lost) > 0 {
				t.Fatalf("byte %d of the header costs %v in spite of its copy", i, lost)
			}
			if i%37 == 0 || step > 37 && i%3 == 0 { // opening goes on over the same damage
				r, rec, err := ring.Open(ring.Config{Dir: dir, BootID: boot1, SegmentBytes: 8 << 10})
				must(t, err)
				if len(lost) > 0 && rec.Damages == 0 && rec.TornBytes == 0 {
					t.Fatalf("byte %d of file %d: %+v", i, f, rec)
				}
				add(t, r, 900, 900)
				must(t, r.Flush())
				entries, _ := read(t, r.Read(t.Context(), ring.ReadFrom{}))
				wantNumbers(t, entries, append(got, 900))
				must(t, r.Close())
			}
			files[f][i] = old
		}
	}
}

func missing(got []int, last int) (out []int) {
	for n := 1; n <= last; n++ {
		if !slices.Contains(got, n) {
			out = append(out, n)
		}
	}
	return out
}

func TestAMissingSegmentAndACutChainAreTold(t *testing.T) {
	cfg := ring.Config{Dir: t.TempDir(), BootID: boot1, SegmentBytes: 4 << 10}
	r, _ := open(t, cfg)
	for n := 1; r.Stats().Segments < 5; n++ {
		add(t, r, n, n)
		must(t, r.Flush())
	}
	last := int(r.Stats().NextSeq - 1)
	must(t, r.Close())
	must(t, os.Remove(filepath.Join(cfg.Dir, "00000003.ring")))
	entries, damage := read(t, ring.ReadDir(t.Context(), cfg.Dir, ring.ReadFrom{}))
	lost := missing(numbers(t, entries), last)
	if len(damage) != 1 || damage[0].Segment != 3 || damage[0].After != uint64(lost[0]-1) {
		t.Errorf("%v", damage)
	}
	// A group that is cut out and closed up leaves sound bytes and a broken chain.
	path := filepath.Join(cfg.Dir, "00000002.ring")
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, slices.Concat(b[:1024], b[1536:], make([]byte, 512)), 0o600))
	entries, damage = read(t, ring.ReadDir(t.Context(), cfg.Dir, ring.ReadFrom{}))
	if len(damage) != 2 || damage[0].Segment != 2 || damage[0].Offset != 1024 || len(missing(numbers(t, entries), last)) != len(lost)+1 {
		t.Errorf("%v", damage)
	}
	// A file under another's name.
	must(t, os.WriteFile(filepath.Join(cfg.Dir, "00000003.ring"), b, 0o600))
	_, damage = read(t, ring.ReadDir(t.Context(), cfg.Dir, ring.ReadFrom{}))
	if len(damage) != 2 || damage[1].Segment != 3 {
		t.Errorf("%v", damage)
	}
	_, rec := open(t, cfg)
	if rec.Damages != 2 || rec.Last.Seq != uint64(last) {
		t.Errorf("%+v", rec)
	}
}

func TestNumbersAreNotGivenTwiceAfterDamage(t *testing.T) {
	cfg := ring.Config{Dir: t.TempDir(), BootID: boot1, SegmentBytes: 8 << 10}
	r, _ := open(t, cfg)
	add(t, r, 1, 10)
	must(t, r.Close())
	path := filepath.Join(cfg.Dir, "00000001.ring")
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, slices.Concat(make([]byte, 1024), b[1024:]), 0o600))
	r, rec := open(t, cfg)
	if rec.Damages != 1 || rec.Resumed || r.Stats().NextSeq <= 10 {
		t.Errorf("%+v, next is %d", rec, r.Stats().NextSeq)
	}
	add(t, r, 11, 12)
	must(t, r.Flush())
	entries, damage := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	wantNumbers(t, entries, upTo(11, 12))
	if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left[1024:], b[1024:]) || len(damage) != 1 {
		t.Errorf("what could not be read was touched: %v, %v", err, damage)
	}
}
