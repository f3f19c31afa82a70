package digest_test

import (
	"bytes"
	"strings"
	"testing"

	"hozen/internal/digest"
)

func TestKnownAnswer(t *testing.T) { // FIPS 180-4 example "abc"
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := digest.Of([]byte("abc")).String(); got != want {
		t.Fatal(got)
	}
	var buf bytes.Buffer
	w := digest.NewWriter(&buf)
	w.Write([]byte("a"))
	w.Write([]byte("bc"))
	if w.Sum().String() != want || w.Size() != 3 || buf.String() != "abc" {
		t.Fatal(w.Sum(), w.Size(), buf.String())
	}
	d, n, err := digest.OfReader(strings.NewReader("abc"))
	if d.String() != want || n != 3 || err != nil {
		t.Fatal(d, n, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(strings.Repeat("a", 64))
	f.Add(strings.Repeat("A", 64))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := digest.Parse(s)
		if err == nil && d.String() != s {
			t.Fatalf("%q accepted but spelt %q", s, d)
		}
	})
}
