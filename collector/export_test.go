package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestPieceSize(t *testing.T) {
	for in, want := range map[string]int64{"": 0, "4GB": 4e9, "650mb": 650e6, "100KB": 100_000, "200000": 200_000, "1G": 1e9,
		"0": -1, "-4GB": -1, "4TB": -1, "GB": -1, "99KB": -1, "99999999999999999999GB": -1, "9999999999G": -1, "1.5GB": -1} {
		got, err := pieceSize(in)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
}

func TestPiecesTogetherAreTheWhole(t *testing.T) {
	whole := bytes.Repeat([]byte("0123456789"), 25)
	for _, most := range []int64{0, 1, 7, 250, 249, 251, 1000} {
		if most == 1 {
			whole = whole[:50]
		}
		w := &pieceWriter{name: filepath.Join(t.TempDir(), "p.zip"), most: most}
		for b := whole; len(b) > 0; b = b[min(len(b), 13):] {
			if _, err := w.Write(b[:min(len(b), 13)]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.end(); err != nil {
			t.Fatal(err)
		}
		names := w.pieces()
		if most == 0 {
			names = []string{w.name}
		}
		var got []byte
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err != nil || most > 0 && (int64(len(b)) > most || len(b) == 0) {
				t.Fatalf("%s has %d bytes of at most %d, %v", n, len(b), most, err)
			}
			got = append(got, b...)
		}
		if !bytes.Equal(got, whole) {
			t.Errorf("pieces of %d bytes are not the whole", most)
		}
		if most == 0 {
			continue
		}
		list, err := os.ReadFile(w.name + ".sha256")
		if err != nil || bytes.Count(list, []byte("\n")) != len(names) {
			t.Errorf("the list: %s, %v", list, err)
		}
	}
}

// What is not whole does not stay.
func TestBrokenOffPiecesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	w := &pieceWriter{name: filepath.Join(dir, "p.zip"), most: 10}
	if _, err := w.Write(make([]byte, 35)); err != nil {
		t.Fatal(err)
	}
	if err := w.discard(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}
