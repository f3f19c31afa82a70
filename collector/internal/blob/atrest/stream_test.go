package atrest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"hozen/collector/internal/blob"
	"hozen/internal/envelope/unseal"
)

// lengths are where chunks begin and end.
func lengths() []int {
	return []int{0, 1, 1000, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 2*chunkSize + 1, 5*chunkSize - 1, 5*chunkSize + 77}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// pour writes b in pieces of a size.
func pour(t *testing.T, w io.Writer, b []byte, piece int) {
	t.Helper()
	for len(b) > 0 {
		n := min(piece, len(b))
		if m, err := w.Write(b[:n]); err != nil || m != n {
			t.Fatalf("wrote %d of %d: %v", m, n, err)
		}
		b = b[n:]
	}
}

// Whatever the pieces are, what is written is an age file, of the size that is told.
func TestFilesAreAgeFiles(t *testing.T) {
	r := ring(t)
	for _, n := range lengths() {
		for _, piece := range []int{7001, chunkSize, 256 << 10, 1 << 20} {
			var file bytes.Buffer
			w, err := r.Begin(&file)
			if err != nil {
				t.Fatal(err)
			}
			clear := random(n)
			pour(t, w, clear, piece)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err == nil {
				t.Error("closed twice")
			}
			if got := r.Size(int64(file.Len()), true); got != int64(n) {
				t.Errorf("%d bytes are told as %d", n, got)
			}
			open, err := unseal.Open(&file, r.keys[0].id)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(open); err != nil || !bytes.Equal(got, clear) {
				t.Fatalf("%d bytes in pieces of %d came back as %d: %v", n, piece, len(got), err)
			}
		}
	}
	for n := range int64(headSize + overhead) {
		if got := r.Size(n, true); got >= 0 {
			t.Fatalf("a file of %d bytes is told to hold %d", n, got)
		}
	}
}

// Wherever a crash cuts a file, it goes on after its last whole chunk and ends as the same.
func TestFilesGoOnWhereTheyWereCut(t *testing.T) {
	r := ring(t)
	clear := random(4*chunkSize + 5)
	path := filepath.Join(t.TempDir(), "f")
	cuts := []int64{headSize, headSize + 1, headSize + overhead, headSize + overhead + 1, headSize + boxSize - 1, headSize + boxSize, headSize + boxSize + 1,
		headSize + 3*boxSize, headSize + 3*boxSize + 20, headSize + 4*boxSize}
	for _, cut := range cuts {
		f := create(t, path)
		w, err := r.Begin(f)
		if err != nil {
			t.Fatal(err)
		}
		pour(t, w, clear, 100_000)
		if err := f.Truncate(cut); err != nil {
			t.Fatal(err)
		}
		for range 3 { // to go on and write nothing loses nothing
			var had []byte
			if w, err = r.Resume(f, func(b []byte) { had = append(had, b...) }); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			if int64(len(had)) != (cut-headSize)/boxSize*chunkSize || r.Size(size(t, f), false) != int64(len(had)) || !bytes.HasPrefix(clear, had) {
				t.Fatalf("cut at %d: %d bytes were there, %d are told", cut, len(had), r.Size(size(t, f), false))
			}
		}
		pour(t, w, clear[r.Size(size(t, f), false):], 100_000)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		whole(t, r, f, clear)
	}
	f := create(t, path)
	if _, err := r.Begin(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(headSize - 1); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resume(f, func([]byte) {}); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("cut in its header: %v", err)
	}
}

// A file that is left and gone on with at any place, again and again, ends as the same.
func TestFilesAreLeftAndGoneOnWith(t *testing.T) {
	r := ring(t)
	clear := random(3*chunkSize + 1)
	for _, step := range []int{9970, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize} {
		f := create(t, filepath.Join(t.TempDir(), "f"))
		w, err := r.Begin(f)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(clear); at += step {
			pour(t, w, clear[at:min(at+step, len(clear))], 50_000)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			had := 0
			if w, err = r.Resume(f, func(b []byte) { had += len(b) }); err != nil {
				t.Fatal(err)
			}
			if want := min(at+step, len(clear)); had != want || r.Size(size(t, f), false) != int64(want) {
				t.Fatalf("left at %d, %d bytes are there, %d are told", want, had, r.Size(size(t, f), false))
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		whole(t, r, f, clear)
	}
}

// An ended file can be opened again, ended as it was, or made longer.
func TestEndedFilesGoOn(t *testing.T) {
	r := ring(t)
	path := filepath.Join(t.TempDir(), "f")
	for _, n := range lengths() {
		for _, more := range []int{0, 1, chunkSize} {
			clear := random(n + more)
			f := create(t, path)
			w, err := r.Begin(f)
			if err != nil {
				t.Fatal(err)
			}
			pour(t, w, clear[:n], 1<<20)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			had := 0
			if w, err = r.Resume(f, func(b []byte) { had += len(b) }); err != nil || had != n {
				t.Fatalf("%d bytes of %d, %v", had, n, err)
			}
			pour(t, w, clear[n:], 1<<20)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			whole(t, r, f, clear)
		}
	}
}

// A file that was changed goes on before the change, and not at all without its header.
func TestChangedFilesGoOnBeforeTheChange(t *testing.T) {
	r := ring(t)
	clear := random(3*chunkSize + 1)
	for at, want := range map[int64]int{3: -1, 60: -1, 150: -1, headSize - 3: 0, headSize + 9: 0, headSize + boxSize - 1: 0, headSize + boxSize: chunkSize, headSize + 2*boxSize + 5: 2 * chunkSize, headSize + 3*boxSize: 3 * chunkSize} {
		f := create(t, filepath.Join(t.TempDir(), "f"))
		w, err := r.Begin(f)
		if err != nil {
			t.Fatal(err)
		}
		pour(t, w, clear, 1<<20)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		b := []byte{0}
		if _, err := f.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{b[0] ^ 1}, at); err != nil {
			t.Fatal(err)
		}
		if _, err := ring(t).Resume(f, func([]byte) {}); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("another collector's file: %v", err)
		}
		had := 0
		w, err = r.Resume(f, func(b []byte) { had += len(b) })
		if want < 0 {
			if !errors.Is(err, blob.ErrCorrupt) {
				t.Errorf("byte %d changed: %v", at, err)
			}
			continue
		}
		if err != nil || had != want {
			t.Errorf("byte %d changed: %d bytes, %v", at, had, err)
			continue
		}
		pour(t, w, clear[had:], 1<<20)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		whole(t, r, f, clear)
	}
}

func TestJumpingReader(t *testing.T) {
	r := ring(t)
	path := filepath.Join(t.TempDir(), "f")
	clear := random(3*chunkSize + 9)
	f := create(t, path)
	w, err := r.Begin(f)
	if err != nil {
		t.Fatal(err)
	}
	pour(t, w, clear, 1<<20)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got, err := r.OpenFile(f)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := got.Seek(0, io.SeekEnd); err != nil || n != int64(len(clear)) {
		t.Errorf("the end is at %d, %v", n, err)
	}
	if n, err := got.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	for _, at := range []int64{5, 0, chunkSize, 2*chunkSize - 3, 0, int64(len(clear)) - 1, 70_000} {
		if _, err := got.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 10_000)
		n, err := io.ReadFull(got, b)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(b[:n], clear[at:min(int(at)+len(b), len(clear))]) {
			t.Errorf("at %d: %d bytes, %v", at, n, err)
		}
	}
	if _, err := got.Seek(-1, io.SeekStart); err == nil {
		t.Error("stands before the beginning")
	}
	if n, err := got.Seek(100, io.SeekEnd); err != nil || n != int64(len(clear)+100) {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := got.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after the end: %d, %v", n, err)
	}
	if err := got.Close(); err != nil {
		t.Error(err)
	}
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func size(t *testing.T, f *os.File) int64 {
	t.Helper()
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

// whole proves that f holds clear, and nothing after it.
func whole(t *testing.T, r *Ring, f *os.File, clear []byte) {
	t.Helper()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	open, err := r.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(open); err != nil || !bytes.Equal(got, clear) {
		t.Errorf("%d bytes came back as %d: %v", len(clear), len(got), err)
	}
}

func BenchmarkBegin(b *testing.B) {
	r := ring(b)
	clear := make([]byte, 256<<10)
	w, err := r.Begin(io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(clear)))
	for b.Loop() {
		if _, err := w.Write(clear); err != nil {
			b.Fatal(err)
		}
	}
}
