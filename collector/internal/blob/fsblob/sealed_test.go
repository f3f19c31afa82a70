package fsblob_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/blob/blobtest"
	"hozen/collector/internal/blob/fsblob"
	"hozen/internal/digest"
)

func keys(t *testing.T) *atrest.Ring {
	t.Helper()
	dir := t.TempDir()
	cfg := atrest.Config{Dir: filepath.Join(dir, "keys"), KeyFile: filepath.Join(dir, "k"), Collector: "c"}
	if _, err := atrest.MakeKeyFile(cfg.KeyFile, time.Now()); err != nil {
		t.Fatal(err)
	}
	r, err := atrest.Open(cfg)
	if !errors.Is(err, atrest.ErrNoKeys) {
		t.Fatal(err)
	}
	if _, err := r.Add(); err != nil {
		t.Fatal(err)
	}
	return r
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func put(t *testing.T, s *fsblob.Store, text string) digest.Digest {
	t.Helper()
	d := digest.Of([]byte(text))
	if err := s.Put(t.Context(), d, int64(len(text)), bytes.NewReader([]byte(text))); err != nil {
		t.Fatal(err)
	}
	return d
}

func get(t *testing.T, s *fsblob.Store, d digest.Digest) (string, error) {
	t.Helper()
	r, err := s.Open(t.Context(), d)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

func file(dir string, d digest.Digest, suffix string) string {
	return filepath.Join(dir, "sha256", d.String()[:2], d.String()+suffix)
}

func TestSealedStore(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) (blob.Store, string) {
		dir := t.TempDir()
		return must[*fsblob.Store](t)(fsblob.OpenSealed(dir, keys(t))), dir
	})
}

// finds reports whether a file below dir holds text.
func finds(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		found = found || bytes.Contains(b, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What the store took, in whatever way, is not on the disk to be read.
func TestNothingLiesInTheClear(t *testing.T) {
	dir, ring := t.TempDir(), keys(t)
	s := must[*fsblob.Store](t)(fsblob.OpenSealed(dir, ring))
	put(t, s, "a secret that was put")
	for name, sealed := range map[string]bool{"a secret that was taken": false, "a secret that arrived": true} {
		path := filepath.Join(dir, "x.part")
		f := must[*os.File](t)(os.Create(path))
		var w io.WriteCloser = f
		if sealed {
			w = must[io.WriteCloser](t)(ring.Begin(f))
		}
		must[int](t)(io.WriteString(w, name))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		_ = f.Close() // closed already, when it is clear
		d := digest.Of([]byte(name))
		if err := s.Adopt(t.Context(), d, int64(len(name)), path); err != nil {
			t.Fatal(err)
		}
		if got, err := get(t, s, d); err != nil || got != name {
			t.Errorf("%q, %v", got, err)
		}
		if info, err := s.Stat(t.Context(), d); err != nil || info != (blob.Info{Digest: d, Size: int64(len(name)), Sealed: true}) {
			t.Errorf("%+v, %v", info, err)
		}
	}
	if finds(t, dir, "secret") {
		t.Error("a secret lies in the clear")
	}
}

// A file that was changed, cut, or put in the place of another is told.
func TestSwappedAndChangedBlobs(t *testing.T) {
	dir := t.TempDir()
	s := must[*fsblob.Store](t)(fsblob.OpenSealed(dir, keys(t)))
	a, b := put(t, s, "the one"), put(t, s, "another")
	good := must[[]byte](t)(os.ReadFile(file(dir, a, ".age")))
	write := func(content []byte) {
		if err := os.Chmod(file(dir, a, ".age"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file(dir, a, ".age"), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	changed := bytes.Clone(good)
	changed[len(changed)-1] ^= 1
	foreign := must[*fsblob.Store](t)(fsblob.OpenSealed(t.TempDir(), keys(t)))
	put(t, foreign, "the one")
	for name, content := range map[string][]byte{"changed": changed, "cut": good[:len(good)-2], "empty": {}, "clear": []byte("the one")} {
		write(content)
		if got, err := get(t, s, a); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err := s.Put(t.Context(), a, 7, bytes.NewReader([]byte("the one"))); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("%s: stored again: %v", name, err)
		}
	}
	// Encrypted with the right key, so that only the digest tells.
	write(must[[]byte](t)(os.ReadFile(file(dir, b, ".age"))))
	if err := s.Put(t.Context(), a, 7, bytes.NewReader([]byte("the one"))); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("swapped: %v", err)
	}
	if _, err := s.CopyTo(t.Context(), a, must[*fsblob.Store](t)(fsblob.Open(t.TempDir()))); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("swapped, and copied: %v", err)
	}
	if r, err := s.Encrypt(t.Context(), nil); err != nil || r.Blobs != 0 || r.Before != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := s.Open(t.Context(), digest.Of(nil)); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// An old store is read, encrypted in steps that may be interrupted, and keeps what is damaged.
func TestEncryptingAnOldStore(t *testing.T) {
	dir, ring := t.TempDir(), keys(t)
	old := must[*fsblob.Store](t)(fsblob.Open(dir))
	texts := []string{"", "a secret", "another secret", "half a secret", "damaged"}
	var all []digest.Digest
	for _, s := range texts {
		all = append(all, put(t, old, s))
	}
	damaged := file(dir, all[4], "")
	if err := os.Chmod(damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, []byte("DAMAGED"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := must[*fsblob.Store](t)(fsblob.OpenSealed(dir, ring))
	put(t, s, "a secret") // it is there in the clear, and stays so
	// A run was killed after the encrypted file was in place.
	other := t.TempDir()
	put(t, must[*fsblob.Store](t)(fsblob.OpenSealed(other, ring)), texts[3])
	if err := os.Link(file(other, all[3], ".age"), file(dir, all[3], ".age")); err != nil {
		t.Fatal(err)
	}
	look := func() (sealed, clear int) {
		for info, err := range s.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if info.Sealed {
				sealed++
			} else {
				clear++
			}
		}
		return sealed, clear
	}
	if sealed, clear := look(); sealed != 1 || clear != 4 {
		t.Errorf("%d encrypted, %d clear", sealed, clear)
	}
	steps := 0
	r, err := s.Encrypt(t.Context(), func(int) { steps++ })
	if err != nil || r.Blobs != 3 || r.Before != 1 || len(r.Corrupt) != 1 || r.Corrupt[0] != all[4] || steps != 5 || r.Bytes != 22 {
		t.Errorf("%+v after %d, %v", r, steps, err)
	}
	if sealed, clear := look(); sealed != 4 || clear != 1 {
		t.Errorf("%d encrypted, %d clear", sealed, clear)
	}
	for n, text := range texts[:4] {
		if got, err := get(t, s, all[n]); err != nil || got != text {
			t.Errorf("%q came back as %q, %v", text, got, err)
		}
	}
	if finds(t, dir, "secret") || !finds(t, dir, "DAMAGED") {
		t.Error("a secret lies in the clear, or what is damaged is gone")
	}
	// With another data key, all is encrypted again, and again only once.
	if _, err := ring.Add(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{4, 0} {
		if r, err = s.Encrypt(t.Context(), nil); err != nil || r.Blobs != want || r.Before != 4-want {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if got, err := get(t, s, all[2]); err != nil || got != texts[2] {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := old.Encrypt(t.Context(), nil); err == nil {
		t.Error("encrypted without a key")
	}
	if _, err := get(t, old, all[1]); !errors.Is(err, fsblob.ErrNoKeys) {
		t.Errorf("read without a key: %v", err)
	}
}

// The clear file is not given up for an encrypted one that cannot be read.
func TestClearFilesStayUntilTheOtherIsRight(t *testing.T) {
	dir, ring := t.TempDir(), keys(t)
	s := must[*fsblob.Store](t)(fsblob.OpenSealed(dir, ring))
	d := put(t, s, "evidence")
	path := file(dir, d, ".age")
	b := must[[]byte](t)(os.ReadFile(path))
	b[len(b)-1] ^= 1
	if err := errors.Join(os.Remove(path), os.WriteFile(path, b, 0o600), os.WriteFile(file(dir, d, ""), []byte("evidence"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Encrypt(t.Context(), nil); err != nil || len(r.Corrupt) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if got, err := os.ReadFile(file(dir, d, "")); err != nil || string(got) != "evidence" {
		t.Errorf("%q, %v", got, err)
	}
	if err := s.Remove(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("removed, and there: %v", err)
	}
}

// A copy is what lies there, byte by byte, and an encrypted one takes the place of a clear one.
func TestCopying(t *testing.T) {
	dir, backup, ring := t.TempDir(), t.TempDir(), keys(t)
	to := must[*fsblob.Store](t)(fsblob.Open(backup))
	old := must[*fsblob.Store](t)(fsblob.Open(dir))
	d := put(t, old, "evidence")
	if n, err := old.CopyTo(t.Context(), d, to); err != nil || n != 8 || !finds(t, backup, "evidence") {
		t.Errorf("%d bytes, %v", n, err)
	}
	s := must[*fsblob.Store](t)(fsblob.OpenSealed(dir, ring))
	if _, err := s.Encrypt(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := s.CopyTo(t.Context(), d, to); err != nil || n <= 8 {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	if finds(t, backup, "evidence") {
		t.Error("the clear copy is still there")
	}
	if !bytes.Equal(must[[]byte](t)(os.ReadFile(file(dir, d, ".age"))), must[[]byte](t)(os.ReadFile(file(backup, d, ".age")))) {
		t.Error("the copy is another file")
	}
	if got, err := get(t, must[*fsblob.Store](t)(fsblob.OpenSealed(backup, ring)), d); err != nil || got != "evidence" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := to.CopyTo(t.Context(), d, must[*fsblob.Store](t)(fsblob.Open(t.TempDir()))); !errors.Is(err, fsblob.ErrNoKeys) {
		t.Errorf("copied without proof: %v", err)
	}
}

// The age program of the distribution reads a blob from the files alone, as the document says
// for the day when there is nothing else.
func TestAgeProgramReadsBlobs(t *testing.T) {
	if _, err := exec.LookPath("age"); err != nil {
		t.Skip("age is not installed")
	}
	dir := t.TempDir()
	cfg := atrest.Config{Dir: filepath.Join(dir, "keys"), KeyFile: filepath.Join(dir, "evidence.key"), Collector: "c"}
	if _, err := atrest.MakeKeyFile(cfg.KeyFile, time.Now()); err != nil {
		t.Fatal(err)
	}
	ring, err := atrest.Open(cfg)
	if !errors.Is(err, atrest.ErrNoKeys) {
		t.Fatal(err)
	}
	must[atrest.Key](t)(ring.Add())
	s := must[*fsblob.Store](t)(fsblob.OpenSealed(dir, ring))
	d := put(t, s, strings.Repeat("evidence\n", 20_000))
	cmd := exec.Command("sh", "-c", `set -e; age -d -i evidence.key keys/0001-*.age > data.key; age -d -i data.key "$1" | sha256sum`, "sh", file(dir, d, ".age"))
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), d.String()) {
		t.Errorf("%s, %v", out, err)
	}
}
