package fsblob_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/blob/blobtest"
	"hozen/collector/internal/blob/fsblob"
	"hozen/internal/digest"
)

func open(t *testing.T, dir string) *fsblob.Store {
	t.Helper()
	s, err := fsblob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) (blob.Store, string) {
		dir := t.TempDir()
		return open(t, dir), dir
	})
}

func TestFilesAreWriteOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	content := []byte("evidence")
	d := digest.Of(content)
	if err := s.Put(t.Context(), d, int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sha256", d.String()[:2], d.String())
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o444 {
		t.Errorf("%v, %v", fi, err)
	}

	// Somebody changed the file: what comes again under that digest is refused and
	// the changed file is left for whoever looks into it.
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("forged!!"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), d, int64(len(content)), bytes.NewReader(content)); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("put over a forged blob: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "forged!!" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestOpenCleansUp(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	half := filepath.Join(dir, "sha256", ".tmp-123")
	stray := filepath.Join(dir, "sha256", "ab", "notes.txt")
	if err := errors.Join(os.WriteFile(half, nil, 0o600), os.Mkdir(filepath.Dir(stray), 0o700), os.WriteFile(stray, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(half); err != nil {
		t.Errorf("a file that is being written was removed: %v", err)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(half, old, old); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if _, err := os.Stat(half); err == nil {
		t.Error("a half-written file was left")
	}
	var errs int
	for _, err := range s.List(t.Context()) {
		if err == nil {
			t.Error("a stray file was listed as a blob")
		}
		errs++
	}
	if errs != 1 {
		t.Errorf("%d errors for one stray file", errs)
	}
}
