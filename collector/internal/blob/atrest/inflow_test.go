package atrest

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"hozen/collector/internal/blob"
	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
)

// sealedTo is an age file as an endpoint makes it.
func sealedTo(t testing.TB, clear []byte, to ...envelope.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := envelope.Seal(&b, to...)
	if err == nil {
		_, err = w.Write(clear)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// headOf is the size of header and nonce.
func headOf(file []byte) int {
	at := bytes.Index(file, []byte("\n--- ")) + 1
	return at + bytes.IndexByte(file[at:], '\n') + 1 + nonceSize
}

// arrive opens a file from offset on, in pieces of a size.
func arrive(r *Ring, file []byte, offset int64, piece int) ([]byte, error) {
	head := headOf(file)
	f, err := r.Inflow(file[:head], offset)
	if err != nil {
		return nil, err
	}
	var out []byte
	var held [][]byte // as whoever reads them later sees them
	give := func(b []byte) error {
		if held = append(held, b); len(held) > blob.InflowTurns {
			out = append(out, held[0]...)
			held = held[1:]
		}
		return nil
	}
	for rest := file[min(len(file), head+int(offset)/chunkSize*boxSize):]; len(rest) > 0; {
		n := min(piece, len(rest))
		if err := f.Take(rest[:n], give); err != nil {
			return append(out, slices.Concat(held...)...), err
		}
		rest = rest[n:]
	}
	err = f.Close(give)
	return append(out, slices.Concat(held...)...), err
}

// A file opens from wherever it is gone on with, whatever the pieces are.
func TestInflow(t *testing.T) {
	r := ring(t)
	other, err := unseal.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range lengths() {
		clear := random(n)
		for _, to := range [][]envelope.Recipient{{r.keys[0].id.Recipient()}, {other.Recipient(), r.keys[0].id.Recipient()}} {
			file := sealedTo(t, clear, to...)
			for _, offset := range []int{0, 1, 999, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, n} {
				if offset > n {
					continue
				}
				for _, piece := range []int{1009, boxSize, 256 << 10} {
					got, err := arrive(r, file, int64(offset), piece)
					if err != nil || !bytes.Equal(got, clear[offset:]) {
						t.Fatalf("%d bytes from %d on in pieces of %d: %d, %v", n, offset, piece, len(got), err)
					}
				}
			}
		}
	}
}

// What is not as it was encrypted is told, never handed on.
func TestInflowOfWhatWasChanged(t *testing.T) {
	r := ring(t)
	clear := random(2*chunkSize + 100)
	file := sealedTo(t, clear, r.keys[0].id.Recipient())
	head := headOf(file)
	for _, at := range []int{head - 1, head, head + boxSize + 3, len(file) - 1} {
		bad := bytes.Clone(file)
		bad[at] ^= 1
		if got, err := arrive(r, bad, 0, 4096); !errors.Is(err, blob.ErrCorrupt) || !bytes.HasPrefix(clear, got) {
			t.Errorf("byte %d changed: %d bytes, %v", at, len(got), err)
		}
	}
	swapped := append(append(bytes.Clone(file[:head]), file[head+boxSize:head+2*boxSize]...), file[head:head+boxSize]...)
	for name, bad := range map[string][]byte{"swapped": swapped, "longer": append(bytes.Clone(file), random(boxSize)...), "cut in a chunk": file[:head+boxSize+1000]} {
		if got, err := arrive(r, bad, 0, 70_000); !errors.Is(err, blob.ErrCorrupt) || !bytes.HasPrefix(clear, got) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	whole := sealedTo(t, clear[:2*chunkSize], r.keys[0].id.Recipient()) // its last chunk is full
	for _, more := range []int{1, 5, boxSize - 1} {
		for _, piece := range []int{boxSize, 2 * boxSize, 4096} {
			if got, err := arrive(r, append(bytes.Clone(whole), random(more)...), 0, piece); !errors.Is(err, blob.ErrCorrupt) || !bytes.HasPrefix(clear, got) {
				t.Errorf("%d bytes behind a full last chunk, in pieces of %d: %d bytes, %v", more, piece, len(got), err)
			}
		}
	}
	if got, err := arrive(r, file[:head+boxSize], 0, 4096); err != nil || len(got) != chunkSize {
		t.Errorf("cut between chunks: %d bytes, %v", len(got), err) // which the digest tells
	}
	other, err := unseal.New()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := arrive(r, sealedTo(t, clear, other.Recipient()), 0, 4096); !errors.Is(err, blob.ErrOtherKey) {
		t.Errorf("another key: %v", err)
	}
	for _, envelope := range [][]byte{nil, []byte("age"), file[:head-1], file[:head+1], make([]byte, maxHeader+1)} {
		if _, err := r.Inflow(envelope, 0); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("an envelope of %d bytes: %v", len(envelope), err)
		}
	}
	if _, err := r.Inflow(file[:head], -1); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("an offset below 0: %v", err)
	}
}

func FuzzInflow(f *testing.F) {
	r := ring(f)
	file := sealedTo(f, []byte("clear"), r.keys[0].id.Recipient())
	f.Add(file[:headOf(file)], file[headOf(file):], int64(0))
	f.Add(file[:headOf(file)], []byte{}, int64(1<<40))
	f.Fuzz(func(t *testing.T, envelope, rest []byte, offset int64) {
		in, err := r.Inflow(envelope, offset)
		if err != nil {
			return
		}
		n := 0
		give := func(b []byte) error { n += len(b); return nil }
		if in.Take(rest, give) == nil && in.Close(give) == nil && n > len(rest) {
			t.Errorf("%d bytes of %d", n, len(rest))
		}
	})
}

// What was handed on stays what it is while others read it.
func TestInflowLeavesPiecesAlone(t *testing.T) {
	r := ring(t)
	clear := random(20*chunkSize + 5)
	file := sealedTo(t, clear, r.keys[0].id.Recipient())
	for _, piece := range []int{boxSize, boxSize + 1, 3 * boxSize} {
		if got, err := arrive(r, file, 0, piece); err != nil || !bytes.Equal(got, clear) {
			t.Errorf("in pieces of %d: %d bytes, %v", piece, len(got), err)
		}
	}
}
