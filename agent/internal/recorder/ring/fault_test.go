package ring_test

import (
	"errors"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"hozen/agent/internal/recorder/ring"
	"hozen/internal/durable"
)

var errFault = errors.New("the disk fails")

// faulty is a disk that fails now and then, after doing nothing, a part or all of what
// was asked, and that remembers what a power cut may still take: the writes since the
// last sync of each file.
type faulty struct {
	ring.Disk
	fail  func(call string) (part int, err error) // part: of 100
	files []*faultyFile
}

type faultyFile struct {
	ring.File
	disk     *faulty
	path     string
	unsynced []write
}

type write struct {
	off      int64
	old, new []byte
}

func (d *faulty) Create(path string, size int64) (ring.File, error) {
	return d.wrap(path, func() (ring.File, error) { return d.Disk.Create(path, size) })
}
func (d *faulty) Open(path string) (ring.File, error) {
	return d.wrap(path, func() (ring.File, error) { return d.Disk.Open(path) })
}

func (d *faulty) wrap(path string, open func() (ring.File, error)) (ring.File, error) {
	if _, err := d.fail("open"); err != nil {
		return nil, err
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	// What had this name before is gone; nothing is opened again that is not synced.
	d.files = slices.DeleteFunc(d.files, func(f *faultyFile) bool { return f.path == path })
	ff := &faultyFile{File: f, disk: d, path: path}
	d.files = append(d.files, ff)
	return ff, nil
}

func (f *faultyFile) WriteAt(b []byte, off int64) (int, error) {
	part, err := f.disk.fail("write")
	n := len(b)
	if err != nil {
		n = n * part / 100
	}
	if n > 0 {
		old := make([]byte, n)
		if file, err := os.Open(f.path); err == nil {
			file.ReadAt(old, off)
			file.Close()
		}
		f.unsynced = append(f.unsynced, write{off, old, slices.Clone(b[:n])})
		if n, werr := f.File.WriteAt(b[:n], off); werr != nil {
			return n, werr
		}
	}
	return n, err
}

func (f *faultyFile) Sync() error {
	call := "sync group"
	if strings.HasPrefix(filepath.Base(f.path), ".tmp") {
		call = "sync new"
	}
	if _, err := f.disk.fail(call); err != nil {
		return err // what was written may be there or not
	}
	f.unsynced = nil
	return f.File.Sync()
}

func (f *faultyFile) Truncate(n int64) error {
	if _, err := f.disk.fail("truncate"); err != nil {
		return err
	}
	f.unsynced = nil
	return f.File.Truncate(n)
}

// powerCut undoes any sectors of what was not synced.
func (d *faulty) powerCut(t *rapid.T) {
	for _, f := range d.files {
		file, err := os.OpenFile(f.path, os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range f.unsynced {
			if w.off%512 != 0 {
				t.Fatalf("a write at %d touches what was promised", w.off)
			}
			for i := 0; i < len(w.old); i += 512 {
				if rapid.Bool().Draw(t, "sector lost") {
					if _, err := file.WriteAt(w.old[i:min(i+512, len(w.old))], w.off+int64(i)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullInTheMiddle is a file system that takes no more in the middle of a segment, in
// spite of what was preallocated (copy on write, a quota).
func TestFullInTheMiddle(t *testing.T) {
	full := false
	d := &faulty{Disk: ring.OSDisk(), fail: func(call string) (int, error) {
		if full && call == "write" {
			full = false
			return 30, syscall.ENOSPC
		}
		return 0, nil
	}}
	cfg := ring.Config{Dir: t.TempDir(), BootID: boot1, SegmentBytes: 4 << 10}
	r, _, err := ring.OpenOn(cfg, d)
	must(t, err)
	for n := range 40 {
		add(t, r, n+1, n+1)
		full = n == 9 || n == 30
		must(t, r.Flush())
	}
	must(t, r.Close())
	if full {
		t.Error("the disk was never full")
	}
	entries, damage := read(t, ring.ReadDir(t.Context(), cfg.Dir, ring.ReadFrom{}))
	wantNumbers(t, entries, upTo(1, 40))
	if len(damage) > 0 {
		t.Error(damage)
	}
}

// TestFullInSpiteOfOverwriting is a file system without space that needs some even to
// overwrite (copy on write): the ring does not give up all it has in vain.
func TestFullInSpiteOfOverwriting(t *testing.T) {
	full := false
	d := &faulty{Disk: ring.OSDisk(), fail: func(call string) (int, error) {
		if full && call == "write" {
			return 0, noSpace()
		}
		return 0, nil
	}}
	r, _, err := ring.OpenOn(ring.Config{Dir: memory(t), BootID: boot1, SegmentBytes: 4 << 10}, d)
	must(t, err)
	n := 0
	for ; r.Stats().Segments < 10; n++ {
		add(t, r, n+1, n+1)
		must(t, r.Flush())
	}
	full = true
	for range 30 {
		n++
		add(t, r, n, n)
		if err := r.Flush(); err != nil && !durable.IsFull(err) {
			t.Fatal(err)
		}
	}
	if s := r.Stats(); s.Segments < 7 || s.Segments > 9 {
		t.Errorf("%d segments of 10 are left", s.Segments)
	}
	full = false
	must(t, r.Flush())
	entries, damage := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	got := numbers(t, entries)
	if !slices.Equal(got, upTo(got[0], n)) || len(damage) > 0 {
		t.Error(got, damage)
	}
	must(t, r.Close())
}

// TestAnHourOfFailures is a disk that makes files and syncs none of what comes after.
func TestAnHourOfFailures(t *testing.T) {
	failing := false
	d := &faulty{Disk: ring.OSDisk(), fail: func(call string) (int, error) {
		if failing && call == "sync group" {
			return 0, errFault
		}
		return 0, nil
	}}
	r, _, err := ring.OpenOn(ring.Config{Dir: memory(t), BootID: boot1, SegmentBytes: 64 << 10, MaxBytes: 512 << 10}, d)
	must(t, err)
	n := 0
	for ; r.Stats().Bytes < 512<<10; n++ {
		add(t, r, n*50+1, n*50+50)
		must(t, r.Flush())
	}
	n *= 50
	before := numbers(t, slices.Collect(entriesOf(t, r)))
	failing = true
	for range 360 {
		n++
		add(t, r, n, n)
		if err := r.Flush(); !errors.Is(err, errFault) {
			t.Fatal(err)
		}
	}
	failing = false
	must(t, r.Flush())
	got := numbers(t, slices.Collect(entriesOf(t, r)))
	if !slices.Equal(got, upTo(got[0], n)) || got[0]-before[0] > len(before)/3 {
		t.Errorf("%d to %d are left of %d to %d", got[0], got[len(got)-1], before[0], n)
	}
	must(t, r.Close())
}

// entriesOf fails at any damage.
func entriesOf(t *testing.T, r *ring.Ring) iter.Seq[ring.Entry] {
	return func(yield func(ring.Entry) bool) {
		for e, err := range r.Read(t.Context(), ring.ReadFrom{}) {
			must(t, err)
			if !yield(e) {
				return
			}
		}
	}
}

func TestManyBootsLeaveBoundedFiles(t *testing.T) {
	cfg := ring.Config{Dir: memory(t), SegmentBytes: 128 << 10, MaxBytes: 512 << 10} // no boot id: each Open is one
	for n := range 40 {
		r, rec := open(t, cfg)
		if rec.Damages > 0 || rec.Resumed {
			t.Fatalf("%+v", rec)
		}
		add(t, r, n+1, n+1)
		must(t, r.Close())
	}
	entries, damage := read(t, ring.ReadDir(t.Context(), cfg.Dir, ring.ReadFrom{}))
	wantNumbers(t, entries, upTo(9, 40))
	if len(damage) > 0 {
		t.Error(damage)
	}
}

// TestWrittenTwice is a sync that fails although all is on disk, and a rest that can't be
// cut off: the group is there in two segments, and is read once.
func TestWrittenTwice(t *testing.T) {
	failing := false
	d := &faulty{Disk: ring.OSDisk(), fail: func(call string) (int, error) {
		switch {
		case failing && call == "sync group":
			return 0, errFault
		case failing && call == "truncate":
			failing = false
			return 0, errFault
		}
		return 0, nil
	}}
	cfg := ring.Config{Dir: t.TempDir(), BootID: boot1, SegmentBytes: 8 << 10}
	r, _, err := ring.OpenOn(cfg, d)
	must(t, err)
	add(t, r, 1, 5)
	must(t, r.Flush())
	add(t, r, 6, 10)
	failing = true
	must(t, r.Flush())
	add(t, r, 11, 12)
	entries, damage := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	wantNumbers(t, entries, upTo(1, 12))
	must(t, r.Close())
	entries, again := read(t, ring.ReadDir(t.Context(), cfg.Dir, ring.ReadFrom{}))
	wantNumbers(t, entries, upTo(1, 12))
	r, rec := open(t, cfg)
	if failing || len(damage)+len(again)+rec.Damages > 0 || rec.Segments != 2 || rec.Last.Seq != 12 {
		t.Errorf("%v, %v, %+v", damage, again, rec)
	}
	entries, _ = read(t, r.Read(t.Context(), ring.ReadFrom{}))
	wantNumbers(t, entries, upTo(1, 12))
}

// TestWhateverFails appends, flushes, kills and cuts the power in any order on a disk
// that fails in any call. What was promised is there afterwards, in its order, and
// behind it nothing but what was appended next.
func TestWhateverFails(t *testing.T) {
	base := memory(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		boot, faults := 1, 0
		failing := false
		newDisk := func() *faulty {
			return &faulty{Disk: ring.OSDisk(), fail: func(call string) (int, error) {
				if !failing || rapid.IntRange(0, 3).Draw(rt, call) != 0 {
					return 0, nil
				}
				faults++
				return rapid.IntRange(0, 100).Draw(rt, "part"), errFault
			}}
		}
		disk := newDisk()
		open := func() *ring.Ring {
			cfg := ring.Config{Dir: dir, BootID: strings.Repeat("b", boot), SegmentBytes: 4 << 10, MaxBytes: 4 << 20}
			r, _, err := ring.OpenOn(cfg, disk)
			if err != nil {
				rt.Fatal(err)
			}
			return r
		}
		r := open()
		appended, promised := 0, 0
		check := func(r *ring.Ring, from int) int {
			var got []int
			for e, err := range r.Read(t.Context(), ring.ReadFrom{}) {
				if d, ok := errors.AsType[*ring.Damage](err); ok && faults > 0 && !strings.Contains(d.Reason, "follow") && !strings.Contains(d.Reason, "missing") {
					continue // what a failed write left, and could not be cut off
				} else if err != nil {
					rt.Fatal(err)
				}
				got = append(got, numbers(t, []ring.Entry{e})...)
			}
			if !slices.Equal(got, upTo(1, len(got))) || len(got) < from || len(got) > appended {
				rt.Fatalf("%d promised, %d appended, read %v", from, appended, got)
			}
			return len(got)
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "flush", "flush", "flush", "kill", "power", "trouble"}).Draw(rt, "step") {
			case "append":
				n := rapid.IntRange(1, 30).Draw(rt, "entries")
				add(t, r, appended+1, appended+n)
				appended += n
			case "flush":
				if err := r.Flush(); err == nil {
					promised = appended
				} else if !errors.Is(err, errFault) {
					rt.Fatal(err)
				}
				check(r, appended)
			case "kill":
				r.Crash()
				disk = newDisk()
				r = open()
				appended = check(r, promised)
			case "power":
				r.Crash()
				disk.powerCut(rt)
				boot++
				disk = newDisk()
				r = open()
				appended = check(r, promised)
			case "trouble":
				failing = !failing
			}
		}
		failing = false
		if err := r.Flush(); err != nil {
			rt.Fatal(err)
		}
		check(r, appended)
		if err := r.Close(); err != nil {
			rt.Fatal(err)
		}
		if files, err := filepath.Glob(filepath.Join(dir, ".tmp*")); err != nil || len(files) > 0 {
			rt.Errorf("left behind: %v, %v", files, err)
		}
	})
}

// noSpace is what this system says of a full disk.
func noSpace() error {
	if runtime.GOOS == "windows" {
		return syscall.Errno(112) // ERROR_DISK_FULL
	}
	return syscall.ENOSPC
}
