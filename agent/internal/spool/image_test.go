package spool_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hozen/agent/internal/spool"
	"hozen/internal/durable"
	"hozen/internal/id"
)

const imagePart = "artifacts/memory.lime.zst"

// put writes one part of n bytes into an acquisition.
func put(t *testing.T, a *spool.Acquisition, name string, n int) error {
	t.Helper()
	p, err := a.Create(name)
	must(t, err)
	if _, err = p.Write(bytes.Repeat([]byte("x"), n)); err != nil {
		must(t, p.Discard())
		return err
	}
	must(t, p.Close())
	return nil
}

// TestImagesAreBoundedByTheDisk: the quota is for what nobody sees coming. An image of
// memory is ordered, as large as the PC's memory, and takes no room from other evidence.
func TestImagesAreBoundedByTheDisk(t *testing.T) {
	const quota = 16 << 20
	dir := t.TempDir()
	s := open(t, spool.Config{Dir: dir, MaxBytes: quota})
	a, err := s.Begin(id.New(id.Acquisition), []byte("plan"))
	must(t, err)
	must(t, put(t, a, imagePart, 2*quota))
	if err := put(t, a, "artifacts/kallsyms.raw.zst", quota); !errors.Is(err, spool.ErrFull) {
		t.Errorf("other evidence beyond the quota: %v", err)
	}
	must(t, put(t, a, "artifacts/process.jsonl.zst", quota/2))
	must(t, a.Seal(seal))
	check := func(s *spool.Spool) {
		t.Helper()
		if st := s.Status(); st.UsedBytes > quota || st.Full {
			t.Errorf("%+v", st)
		}
		if list := s.List(); list[0].Bytes < 2*quota {
			t.Errorf("%+v", list[0])
		}
		sealed(t, s, quota/8) // there is room for more
	}
	check(s)
	must(t, s.Close())
	check(open(t, spool.Config{Dir: dir, MaxBytes: quota})) // and a later agent knows it too
}

func TestRoomForAnImage(t *testing.T) {
	const spare, free, stays = 1 << 30, 10 << 30, 256 << 20
	received := 0
	s := open(t, spool.Config{Dir: t.TempDir(), MinFreeBytes: stays, Free: func(string) (int64, error) { return free, nil }})
	room := func(n int64, want error) {
		t.Helper()
		a, err := s.Begin(id.New(id.Acquisition), nil)
		must(t, err)
		if err := a.Room(n); !errors.Is(err, want) {
			t.Errorf("room for %d bytes: %v", n, err)
		}
		must(t, a.Abort())
	}
	most := int64(free - spare - stays)
	room(most, nil)
	room(most+1, spool.ErrNoRoom)
	acq := sealed(t, s, 1<<20)
	room(most+1, spool.ErrNoRoom) // what the collector does not have stays
	must(t, s.Receipt(acq, []byte("receipt")))
	room(most+1<<20, nil)
	room(most+2<<20, spool.ErrNoRoom)
	for _, i := range s.List() {
		if i.State == spool.Received {
			received++
		}
	}
	if received != 1 {
		t.Error("asking dropped something")
	}
}

// TestImagesLeaveRoomInAnyCase: who switches the check of the disk off for small evidence
// does not mean that memory may fill it.
func TestImagesLeaveRoomInAnyCase(t *testing.T) {
	for _, off := range []int64{-1, -1 << 40} {
		s := open(t, spool.Config{Dir: t.TempDir(), MinFreeBytes: off, Free: func(string) (int64, error) { return 10 << 30, nil }})
		a, err := s.Begin(id.New(id.Acquisition), nil)
		must(t, err)
		must(t, a.Room(9<<30))
		if err := a.Room(9<<30 + 1); !errors.Is(err, spool.ErrNoRoom) {
			t.Errorf("min free %d: %v", off, err)
		}
	}
	s := open(t, spool.Config{Dir: t.TempDir(), Free: func(string) (int64, error) { return 0, errors.ErrUnsupported }})
	a, err := s.Begin(id.New(id.Acquisition), nil)
	must(t, err)
	must(t, a.Room(1<<40)) // where it cannot be known
}

// TestImagesGoToTheDiskWhileTheyGrow: who comes next does not wait for gigabytes. Small
// evidence stays in the cache until it is closed.
func TestImagesGoToTheDiskWhileTheyGrow(t *testing.T) {
	const piece, pieces = 1 << 20, 100
	var at, most int64
	bad := errors.New("disk")
	var fail error
	s := open(t, spool.Config{Dir: t.TempDir(), Behind: func(f *os.File, offset, n int64) error {
		st, err := f.Stat()
		if err != nil || offset != at || st.Size() != at+n {
			t.Errorf("%d bytes from %d of %d on, want from %d: %v", n, offset, st.Size(), at, err)
		}
		at, most = offset+n, max(most, n)
		return fail
	}})
	a, err := s.Begin(id.New(id.Acquisition), nil)
	must(t, err)
	must(t, put(t, a, "artifacts/process.jsonl.zst", 40*piece))
	if at > 0 {
		t.Error("small evidence was handed to the disk")
	}
	p, err := a.Create(imagePart)
	must(t, err)
	b := make([]byte, piece)
	for i := range pieces {
		_, err := p.Write(b)
		must(t, err)
		if left := int64(i+1)*piece - at; left > 32<<20 {
			t.Fatalf("%d bytes are only in the cache", left)
		}
	}
	fail = bad
	for range 64 {
		if _, err = p.Write(b); err != nil {
			break
		}
	}
	if !errors.Is(err, bad) {
		t.Errorf("a disk that cannot write: %v", err)
	}
	must(t, p.Discard())
	if most > 32<<20 {
		t.Errorf("%d bytes at once", most)
	}
}

// TestFolderInAFolder: nothing is written through a link that lies there.
func TestFolderInAFolder(t *testing.T) {
	stick, victim := t.TempDir(), t.TempDir()
	in, err := os.OpenRoot(stick)
	must(t, err)
	defer in.Close()
	link(t, victim, filepath.Join(stick, "acq"))
	if _, err := (&spool.Folder{Dir: filepath.Join(stick, "acq"), In: in}).Begin(id.New(id.Acquisition), nil); err == nil {
		t.Error("a link was followed")
	}
	f := &spool.Folder{Dir: filepath.Join(stick, "other"), In: in}
	a, err := f.Begin(id.New(id.Acquisition), nil)
	must(t, err)
	must(t, put(t, a, "artifacts/process.jsonl.zst", 10))
	must(t, os.Rename(f.Dir, f.Dir+".away")) // and a link takes the place while it is written
	link(t, victim, f.Dir)
	must(t, put(t, a, "artifacts/socket.jsonl.zst", 10))
	must(t, a.Seal(seal))
	if list, err := os.ReadDir(victim); err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
	if list, err := os.ReadDir(f.Dir + ".away"); err != nil || len(list) != 5 {
		t.Errorf("%v, %v", list, err)
	}
	if err := f.Failed(); err != nil {
		t.Error(err)
	}
}

func TestRoomInAFolder(t *testing.T) {
	f := &spool.Folder{Dir: t.TempDir()}
	a, err := f.Begin(id.New(id.Acquisition), nil)
	must(t, err)
	defer a.Abort()
	must(t, a.Room(1))
	free, err := durable.Free(f.Dir)
	must(t, err)
	if err := a.Room(int64(free) - 1<<20); !errors.Is(err, spool.ErrNoRoom) || !errors.Is(f.Failed(), spool.ErrNoRoom) {
		t.Errorf("the manifest would have no room: %v, %v", err, f.Failed())
	}
	if err := a.Room(1 << 60); !errors.Is(err, spool.ErrNoRoom) {
		t.Errorf("an exbibyte: %v", err)
	}
}

// TestImagesGoSooner: once the collector has an image, the PC gets its disk back.
func TestImagesGoSooner(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	s := open(t, spool.Config{Dir: t.TempDir(), Now: func() time.Time { return now }})
	ids := []string{sealed(t, s, 1000)}
	for range 2 {
		a, err := s.Begin(id.New(id.Acquisition), nil)
		must(t, err)
		must(t, put(t, a, imagePart, 1000))
		must(t, a.Seal(seal))
		ids = append(ids, a.ID())
	}
	must(t, s.Receipt(ids[0], []byte("receipt")))
	must(t, s.Receipt(ids[1], []byte("receipt")))
	must(t, s.Refused(ids[2], "no"))
	for want, after := range []time.Duration{23 * time.Hour, 2 * time.Hour} {
		now = now.Add(after)
		if n, err := s.Sweep(); err != nil || n != want {
			t.Errorf("after %s: %d dropped, %v", after, n, err)
		}
	}
	if got := states(s); got != "received refused" {
		t.Error(got)
	}
}

// link makes a symbolic link, and skips the test where there is none afterwards.
func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Skip("no links here:", err)
	}
	if fi, err := os.Lstat(path); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Skip("no links here: Wine says that it makes them, and makes none")
	}
}
