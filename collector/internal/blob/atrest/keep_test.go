package atrest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"hozen/collector/internal/blob"
	"hozen/internal/envelope"
)

// kept lets a file arrive in pieces and be kept; most bounds how many of its bytes arrive.
func kept(t *testing.T, r *Ring, path string, file []byte, piece, most int) (clear []byte, err error) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := headOf(file)
	in, err := r.Inflow(file[:head], 0)
	if err != nil {
		t.Fatal(err)
	}
	w, err := in.Keep(f)
	if err != nil || w == nil {
		t.Fatalf("a file is not kept: %v", err)
	}
	give := func(b []byte) error {
		clear = append(clear, b...)
		n, err := w.Write(b)
		if n != len(b) {
			t.Errorf("%d bytes of %d are written", n, len(b))
		}
		return err
	}
	for rest := file[head:min(len(file), most)]; len(rest) > 0; {
		n := min(piece, len(rest))
		if err := in.Take(rest[:n], give); err != nil {
			return clear, err
		}
		rest = rest[n:]
	}
	if most >= len(file) {
		err = in.Close(give)
	}
	return clear, errors.Join(err, w.Close())
}

// TestKeptFiles: a file that arrives from its beginning, encrypted to the key in use, lies there as
// it came, and one that was broken off is gone on with to the same bytes.
func TestKeptFiles(t *testing.T) {
	r := ring(t)
	path := filepath.Join(t.TempDir(), "f")
	for _, n := range lengths() {
		clear := random(n)
		file := sealedTo(t, clear, r.keys[0].id.Recipient())
		for _, piece := range []int{1009, boxSize, boxSize + 5, 256 << 10} {
			got, err := kept(t, r, path, file, piece, len(file))
			if b, rerr := os.ReadFile(path); err != nil || rerr != nil || !bytes.Equal(got, clear) || !bytes.Equal(b, file) {
				t.Fatalf("%d bytes in pieces of %d: %d clear, %d in the file, %v, %v", n, piece, len(got), len(b), err, rerr)
			}
			if piece != 256<<10 {
				continue
			}
			for _, most := range []int{headSize, headSize + boxSize - 1, headSize + boxSize, headSize + 2*boxSize + 7, len(file) - 1} {
				if most >= len(file) {
					continue
				}
				if _, err := kept(t, r, path, file, piece, most); err != nil {
					t.Fatal(err)
				}
				f, err := os.OpenFile(path, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				fi, err := f.Stat()
				if err != nil {
					t.Fatal(err)
				}
				var before []byte
				w, err := r.Resume(f, func(b []byte) { before = append(before, b...) })
				if err != nil || r.Size(fi.Size(), false) != int64(len(before)) || !bytes.HasPrefix(clear, before) {
					t.Fatalf("%d bytes, %d of the file: %d go on, as large as %d: %v", n, most, len(before), r.Size(fi.Size(), false), err)
				}
				_, err = w.Write(clear[len(before):])
				if err = errors.Join(err, w.Close(), f.Close()); err != nil {
					t.Fatal(err)
				}
				if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, file) {
					t.Errorf("%d bytes, gone on with after %d of the file: other bytes, %v", n, most, err)
				}
			}
		}
	}
}

// TestNotKept: what the store would not have made is opened, and not kept as it is.
func TestNotKept(t *testing.T) {
	r := ring(t)
	first := r.keys[0].id.Recipient()
	if _, err := r.Add(); err != nil {
		t.Fatal(err)
	}
	newest := r.keys[len(r.keys)-1].id.Recipient()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	clear := random(100)
	for name, c := range map[string]struct {
		to     []envelope.Recipient
		offset int64
		keeps  bool
	}{
		"the newest key":         {[]envelope.Recipient{newest}, 0, true},
		"an earlier key":         {[]envelope.Recipient{first}, 0, false},
		"two keys":               {[]envelope.Recipient{newest, first}, 0, false},
		"not from its beginning": {[]envelope.Recipient{newest}, 1, false},
	} {
		file := sealedTo(t, clear, c.to...)
		in, err := r.Inflow(file[:headOf(file)], c.offset)
		if err != nil {
			t.Fatal(err)
		}
		if w, err := in.Keep(f); err != nil || (w != nil) != c.keeps {
			t.Errorf("%s: kept %t, %v", name, w != nil, err)
		}
	}
}

// TestKeptWithoutAnEnd: what lost its last chunk, or has one that no reader of the format takes,
// never becomes a file of the store.
func TestKeptWithoutAnEnd(t *testing.T) {
	r := ring(t)
	path := filepath.Join(t.TempDir(), "f")
	file := sealedTo(t, random(chunkSize+5), r.keys[0].id.Recipient())
	cut := file[:headSize+boxSize]
	if _, err := kept(t, r, path, cut, 4096, len(cut)); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("without its last chunk: %v", err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := openHeadOf(file, f, r)
	if err != nil {
		t.Fatal(err)
	}
	w.out = append(w.out[:0], file[headSize:headSize+boxSize]...)
	w.n = 1
	w.seal(nil, true)
	if err := errors.Join(w.flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	hollow, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kept(t, r, path, hollow, 4096, len(hollow)); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("with an empty last chunk: %v", err)
	}
}

// openHeadOf writes the head of a file into f and goes on there with its key.
func openHeadOf(file []byte, f *os.File, r *Ring) (*writer, error) {
	if _, err := f.Write(file[:headSize]); err != nil {
		return nil, err
	}
	w, err := openHead(f, r.ages)
	if err == nil {
		_, err = f.Seek(headSize, io.SeekStart)
	}
	return w, err
}
