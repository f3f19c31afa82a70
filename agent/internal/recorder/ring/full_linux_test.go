package ring_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/recorder/ring"
	"hozen/internal/durable"
)

// TestDiskFull fills a real file system around the ring, so that the ring never sees a
// free byte from then on, and later makes room again.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small tmpfs needs root")
	}
	mnt := t.TempDir()
	if err := unix.Mount("none", mnt, "tmpfs", 0, "size=2m"); err != nil {
		t.Skip("tmpfs cannot be mounted here: " + err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mnt, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	fill := func(name string) {
		f, err := os.Create(filepath.Join(mnt, name))
		must(t, err)
		defer f.Close()
		for {
			if _, err := f.Write(make([]byte, 4096)); errors.Is(err, unix.ENOSPC) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	cfg := ring.Config{Dir: filepath.Join(mnt, "ring"), BootID: boot1, SegmentBytes: 64 << 10, MaxBytes: 1 << 20}

	// Full before the first byte: an error that says so, nothing lost, and it goes on
	// with room.
	fill("ballast")
	must(t, os.Truncate(filepath.Join(mnt, "ballast"), 0))
	must(t, os.MkdirAll(cfg.Dir, 0o700))
	fill("ballast")
	r, _ := open(t, cfg)
	add(t, r, 1, 5)
	for range 2 {
		if err := r.Flush(); !durable.IsFull(err) {
			t.Fatalf("flush on a full disk: %v", err)
		}
	}
	must(t, os.Remove(filepath.Join(mnt, "ballast")))
	n := 5
	for r.Stats().Segments < 4 {
		add(t, r, n+1, n+10)
		n += 10
		must(t, r.Flush())
	}
	entries, _ := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	wantNumbers(t, entries, upTo(1, n))

	// Full from here on: it lives from its own oldest, and what it tells is lost is lost.
	fill("ballast")
	size := r.Stats().Bytes
	for range 300 {
		add(t, r, n+1, n+10)
		n += 10
		must(t, r.Flush())
	}
	entries, damage := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	if s := r.Stats(); len(damage) > 0 || s.Freed == 0 || s.Bytes > size {
		t.Errorf("%v, %+v", damage, s)
	}
	got := numbers(t, entries)
	if got[len(got)-1] != n || got[len(got)-1]-got[0] != len(got)-1 || len(got) < 100 {
		t.Errorf("%d entries, %d to %d of %d", len(got), got[0], got[len(got)-1], n)
	}
	var newest ring.Gap
	for _, e := range entries {
		if e.Kind == ring.KindGap {
			g, err := e.Gap()
			must(t, err)
			newest = g
		}
	}
	if newest.Reason != ring.GapDiskFull || newest.Entries == 0 || newest.LastSeq+1 != entries[0].Seq {
		t.Errorf("the last gap %+v, the first entry %d", newest, entries[0].Seq)
	}

	// Room again: it grows, and stays within its bound.
	must(t, os.Remove(filepath.Join(mnt, "ballast")))
	for range 2000 {
		add(t, r, n+1, n+10)
		n += 10
		must(t, r.Flush())
	}
	if s := r.Stats(); s.Bytes != cfg.MaxBytes {
		t.Errorf("%+v", s)
	}
	must(t, r.Close())
	_, rec := open(t, cfg)
	if rec.Damages != 0 || rec.TornBytes != 0 || !rec.Resumed {
		t.Errorf("%+v", rec)
	}
}

// TestTheReserveIsLeftFree asks for more free space than there is.
func TestTheReserveIsLeftFree(t *testing.T) {
	dir := t.TempDir()
	free, err := durable.Free(dir)
	must(t, err)
	r, _ := open(t, ring.Config{Dir: dir, BootID: boot1, MinFree: free * 2})
	add(t, r, 1, 1)
	if err := r.Flush(); !durable.IsFull(err) {
		t.Errorf("%v", err)
	}
	entries, _ := read(t, r.Read(t.Context(), ring.ReadFrom{}))
	wantNumbers(t, entries, upTo(1, 1))
}
