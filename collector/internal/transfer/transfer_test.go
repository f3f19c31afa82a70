package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/transfer"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// rig is a folder of uploads beside a store of blobs.
type rig struct {
	*transfer.Folder
	t     *testing.T
	blobs *fsblob.Store
	cfg   transfer.Config
}

// eachStore runs a test with a store in the clear and with one that encrypts.
func eachStore(t *testing.T, f func(t *testing.T, x *rig)) {
	t.Helper()
	t.Run("clear", func(t *testing.T) {
		dir := t.TempDir()
		blobs, err := fsblob.Open(filepath.Join(dir, "blobs"))
		if err != nil {
			t.Fatal(err)
		}
		f(t, newRig(t, dir, blobs))
	})
	t.Run("sealed", func(t *testing.T) {
		dir := t.TempDir()
		f(t, newRig(t, dir, evidencetest.OpenBlobs(t, dir)))
	})
}

func newRig(t *testing.T, dir string, blobs *fsblob.Store) *rig {
	t.Helper()
	x := &rig{t: t, blobs: blobs, cfg: transfer.Config{Dir: filepath.Join(dir, "uploads"), Vault: blobs.Vault(), MaxOpen: 2}}
	x.reopen()
	return x
}

// reopen is a collector that starts again.
func (x *rig) reopen() {
	x.t.Helper()
	var err error
	if x.Folder, err = transfer.Open(x.cfg); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) add(name string, offset int64, b []byte) int64 {
	x.t.Helper()
	n, err := x.Append(x.t.Context(), name, offset, bytes.NewReader(b), -1)
	if err != nil {
		x.t.Fatal(err)
	}
	return n
}

// whole adopts a file and returns what is in the store then.
func (x *rig) whole(name string) []byte {
	x.t.Helper()
	var sum digest.Digest
	err := x.Finish(x.t.Context(), name, func(d digest.Digest, size int64, path string) error {
		sum = d
		return x.blobs.Adopt(x.t.Context(), d, size, path)
	})
	if err != nil {
		x.t.Fatal(err)
	}
	r, err := x.blobs.Open(x.t.Context(), sum)
	if err != nil {
		x.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || digest.Of(b) != sum {
		x.t.Fatalf("%d bytes, %v", len(b), err)
	}
	return b
}

func TestPiecesBecomeOneFile(t *testing.T) {
	eachStore(t, func(t *testing.T, x *rig) {
		name, want := id.New(id.Upload), bytes.Repeat([]byte("保全0123456789"), 100_000)
		var at int64
		for n := 0; n < len(want); n += 700_001 {
			at = x.add(name, at, want[n:min(n+700_001, len(want))])
		}
		if n, err := x.Size(t.Context(), name); err != nil || n != int64(len(want)) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if got := x.whole(name); !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d", len(got), len(want))
		}
		if n, err := x.Size(t.Context(), name); err != nil || n != 0 {
			t.Errorf("it is still there: %d, %v", n, err)
		}
		if err := x.Finish(t.Context(), name, nil); !errors.Is(err, transfer.ErrGone) {
			t.Errorf("finished again: %v", err)
		}
	})
}

// What is lent is read and stays, and goes on.
func TestLentFileStays(t *testing.T) {
	eachStore(t, func(t *testing.T, x *rig) {
		name, want := id.New(id.Upload), ""
		if err := x.Lend(t.Context(), name, nil); !errors.Is(err, transfer.ErrGone) {
			t.Errorf("of nothing: %v", err)
		}
		for range 3 {
			x.add(name, int64(len(want)), bytes.Repeat([]byte("証拠"), 40_000))
			want += strings.Repeat("証拠", 40_000)
			if err := x.Lend(t.Context(), name, func(r io.Reader, size int64) error {
				b, err := io.ReadAll(r)
				if string(b) != want || size != int64(len(want)) {
					t.Errorf("%d bytes, %d are said", len(b), size)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		}
		if x.cfg.Vault == nil {
			return
		}
		path := filepath.Join(x.cfg.Dir, name+".part")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Lend(t.Context(), name, func(r io.Reader, _ int64) error {
			b[len(b)-9] ^= 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := io.Copy(io.Discard, r)
			return err
		}); err == nil {
			t.Error("what was changed on the disk was read")
		}
	})
}

func TestGoesOnAfterARestart(t *testing.T) {
	eachStore(t, func(t *testing.T, x *rig) {
		name, want := id.New(id.Upload), bytes.Repeat([]byte("x"), 300_000)
		// The connection breaks in the middle of a piece.
		n, err := x.Append(t.Context(), name, 0, io.MultiReader(bytes.NewReader(want[:200_000]), iotest.ErrReader(io.ErrUnexpectedEOF)), -1)
		if !errors.Is(err, io.ErrUnexpectedEOF) || n != 200_000 {
			t.Fatalf("%d, %v", n, err)
		}
		_, err = x.Append(t.Context(), name, 5, bytes.NewReader(want), -1)
		wrong, ok := errors.AsType[*transfer.OffsetError](err)
		if !ok || wrong.Have != 200_000 {
			t.Fatalf("%v", err)
		}
		x.add(id.New(id.Upload), 0, []byte("a"))
		x.add(id.New(id.Upload), 0, []byte("b"))
		x.add(id.New(id.Upload), 0, []byte("c")) // more than are held open
		n = x.add(name, 200_000, want[200_000:250_000])
		x.reopen() // what was not closed may be missing; what is there is right
		have, err := x.Size(t.Context(), name)
		if err != nil || have > n || have < 100_000 {
			t.Fatalf("%d of %d, %v", have, n, err)
		}
		x.add(name, have, want[have:])
		if got := x.whole(name); !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d", len(got), len(want))
		}
	})
}

func TestBoundsOfAFile(t *testing.T) {
	eachStore(t, func(t *testing.T, x *rig) {
		name := id.New(id.Upload)
		if _, err := x.Append(t.Context(), name, 0, strings.NewReader("12345"), 4); !errors.Is(err, transfer.ErrTooLarge) {
			t.Errorf("more than announced: %v", err)
		}
		for _, bad := range []string{"", "..", "../../etc/passwd", "upl_x", id.New(id.Acquisition), name + "/x"} {
			if _, err := x.Append(t.Context(), bad, 0, strings.NewReader("x"), -1); err == nil {
				t.Errorf("%q names a file", bad)
			}
			if err := x.Drop(t.Context(), bad); err == nil {
				t.Errorf("%q is dropped", bad)
			}
		}
		x.cfg.Free = func(string) (uint64, error) { return 100 << 20, nil }
		x.cfg.MinFree = 200 << 20
		x.reopen()
		if _, err := x.Append(t.Context(), name, 0, strings.NewReader("x"), -1); !errors.Is(err, transfer.ErrNoSpace) {
			t.Errorf("without room: %v", err)
		}
		x.cfg.MinFree = 0
		x.reopen()
		x.add(name, 0, []byte("x"))
		failed := errors.New("no")
		if err := x.Finish(t.Context(), name, func(digest.Digest, int64, string) error { return failed }); !errors.Is(err, failed) {
			t.Errorf("%v", err)
		}
		if got := x.whole(name); string(got) != "x" { // it is still there, and can be tried again
			t.Errorf("%q", got)
		}
	})
}

func TestDamagedFileBeginsAnew(t *testing.T) {
	eachStore(t, func(t *testing.T, x *rig) {
		if x.cfg.Vault == nil {
			t.Skip("without a vault nothing tells what was changed on the disk from what was sent")
		}
		name := id.New(id.Upload)
		x.add(name, 0, bytes.Repeat([]byte("x"), 200_000))
		x.reopen()
		path := filepath.Join(x.cfg.Dir, name+".part")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] ^= 1
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if n, err := x.Size(t.Context(), name); err != nil || n != 0 {
			t.Fatalf("%d bytes are believed, %v", n, err)
		}
		x.add(name, 0, []byte("right"))
		if got := x.whole(name); string(got) != "right" {
			t.Errorf("%q", got)
		}
	})
}

func TestOldAndUnwantedFilesGo(t *testing.T) {
	eachStore(t, func(t *testing.T, x *rig) {
		a, b := id.New(id.Upload), id.New(id.Upload)
		x.add(a, 0, []byte("a"))
		x.add(b, 0, []byte("b"))
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(filepath.Join(x.cfg.Dir, a+".part"), old, old); err != nil {
			t.Fatal(err)
		}
		if list, err := x.Untouched(old.Add(time.Minute)); err != nil || len(list) != 1 || list[0] != a {
			t.Errorf("%q, %v", list, err)
		}
		for range 2 {
			if err := x.Drop(t.Context(), a); err != nil {
				t.Error(err)
			}
		}
		if n, err := x.Size(t.Context(), a); err != nil || n != 0 {
			t.Error(n, err)
		}
	})
}

// A piece may take hours to arrive, and the page that shows how far it is does not wait.
func TestSizeDoesNotWaitForAPiece(t *testing.T) {
	eachStore(t, func(t *testing.T, x *rig) {
		name := id.New(id.Upload)
		slow, w := io.Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := x.Append(context.Background(), name, 0, slow, -1)
			done <- err
		}()
		for _, want := range []int64{0, 5, 10} {
			if want > 0 {
				if _, err := w.Write([]byte("piece")); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			for n := int64(-1); n != want; { // what was written to a pipe is hashed a moment later
				var err error
				if n, err = x.Size(ctx, name); err != nil || n > want {
					t.Fatalf("%d of %d bytes, %v", n, want, err)
				}
			}
			cancel()
		}
		_ = w.Close() // of a pipe: cannot fail
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := x.whole(name); string(got) != "piecepiece" {
			t.Errorf("%q", got)
		}
		if n, err := x.Size(t.Context(), name); err != nil || n != 0 {
			t.Errorf("%d bytes of a file that was taken away, %v", n, err)
		}
	})
}

// While a file is read, which may take hours, its size is told, and nobody waits to read it too.
func TestNobodyWaitsForALend(t *testing.T) {
	eachStore(t, func(t *testing.T, x *rig) {
		name := id.New(id.Upload)
		x.add(name, 0, []byte("stick"))
		lend := func() error {
			return x.Lend(t.Context(), name, func(r io.Reader, _ int64) error {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if n, err := x.Size(ctx, name); err != nil || n != 5 {
					t.Errorf("%d bytes, %v", n, err)
				}
				if err := x.Lend(ctx, name, func(io.Reader, int64) error { return nil }); !errors.Is(err, transfer.ErrBusy) {
					t.Errorf("lent twice: %v", err)
				}
				if !x.Lent(name) || x.Lent(id.New(id.Upload)) {
					t.Error("it does not know what is lent")
				}
				b, err := io.ReadAll(r)
				if string(b) != "stick" {
					t.Errorf("%q", b)
				}
				return err
			})
		}
		for range 2 {
			if err := lend(); err != nil || x.Lent(name) {
				t.Errorf("after it: %v", err)
			}
		}
		if got := x.whole(name); string(got) != "stick" {
			t.Errorf("%q", got)
		}
		if n, err := x.Size(t.Context(), name); err != nil || n != 0 {
			t.Errorf("%d bytes of a file that was taken away, %v", n, err)
		}
	})
}

func TestOneAtATime(t *testing.T) {
	eachStore(t, func(t *testing.T, x *rig) {
		name := id.New(id.Upload)
		slow, w := io.Pipe()
		done := make(chan error, 1)
		go func() {
			_, err := x.Append(context.Background(), name, 0, slow, -1)
			done <- err
		}()
		if _, err := w.Write([]byte("first")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := x.Append(ctx, name, 5, strings.NewReader("second"), -1); !errors.Is(err, context.Canceled) {
			t.Errorf("it was not waited for: %v", err)
		}
		_ = w.Close() // of a pipe: cannot fail
		if err := <-done; err != nil {
			t.Error(err)
		}
		var wg sync.WaitGroup
		for range 8 { // one of them goes on, the others hear where it ends
			wg.Go(func() { _, _ = x.Append(t.Context(), name, 5, strings.NewReader("+"), -1) })
		}
		wg.Wait()
		if got := x.whole(name); string(got) != "first+" {
			t.Errorf("%q", got)
		}
	})
}
