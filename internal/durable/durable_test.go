package durable_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"hozen/internal/durable"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		t.Errorf("a folder that is there: %v", err)
	}
	path := filepath.Join(dir, "f")
	if err := durable.CreateFile(path, []byte("one"), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := durable.CreateFile(path, []byte("two"), 0o444); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created twice: %v", err)
	}
	if s := read(t, path); s != "one" {
		t.Errorf("a write-once file now holds %q", s)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o444 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if err := durable.WriteFile(path, []byte("three"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := read(t, path); s != "three" {
		t.Errorf("replaced file holds %q", s)
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	if err := durable.MkdirAll(filepath.Join(path, "x"), 0o700); err == nil {
		t.Error("made a folder in a file")
	}
	for range 2 {
		if err := durable.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

func TestRenameNew(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	for _, p := range []string{a, b} {
		if err := os.WriteFile(p, []byte(p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.RenameNew(a, b); !errors.Is(err, fs.ErrExist) || read(t, b) != b || read(t, a) != a {
		t.Errorf("renamed over a file: %v", err)
	}
	if err := os.Remove(b); err != nil {
		t.Fatal(err)
	}
	if err := durable.RenameNew(a, b); err != nil || read(t, b) != a {
		t.Errorf("rename: %v", err)
	}
	if _, err := os.Lstat(a); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old name is still there: %v", err)
	}
}

func TestFailureLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Error("a folder was replaced by a file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestFree(t *testing.T) {
	n, err := durable.Free(t.TempDir())
	if err != nil || n == 0 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := durable.Free(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("free space of nothing")
	}
}

func TestWriteBehindKeepsEveryByte(t *testing.T) {
	const window, windows = 1 << 20, 4
	f, err := os.Create(filepath.Join(t.TempDir(), "large"))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 0, window*windows)
	for i := range windows {
		b := bytes.Repeat([]byte{byte('a' + i)}, window)
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := durable.WriteBehind(f, int64(i*window), window); err != nil {
			t.Fatalf("window %d: %v", i, err)
		}
		want = append(want, b...)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the file does not hold what was written")
	}
}
