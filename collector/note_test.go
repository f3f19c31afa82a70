package main

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestKeptNotes(t *testing.T) {
	packed := func(names ...string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, n := range names {
			w, err := z.Create(n)
			if err == nil {
				_, err = w.Write([]byte("of " + n))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, c := range map[string]struct {
		file []byte
		want string // empty: refused
	}{
		"the note":              {[]byte("hozen/org\n1\nroot\n"), "hozen/org\n1\nroot\n"},
		"a package":             {packed("P01/bagit.txt", "P01/data/custody/checkpoint.txt", "P01/data/custody/log.json"), "of P01/data/custody/checkpoint.txt"},
		"a package without one": {packed("P01/data/evidence/checkpoint.txt"), ""},
		"half a package":        {packed("P01/data/custody/checkpoint.txt")[:40], ""},
		"an encrypted package":  {[]byte("age-encryption.org/v1\n-> X25519"), ""},
	} {
		path := filepath.Join(t.TempDir(), "kept")
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := keptNote(path)
		if string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := keptNote(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there is read")
	}
}
