package winsys

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// tree is a folder with true\日本\f in it.
func tree(t *testing.T) (dir string) {
	t.Helper()
	dir, err := Real(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "true", "日本"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "true", "日本", "f"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A file is opened if it lies where its path says.
func TestOpenHere(t *testing.T) {
	dir := tree(t)
	path := filepath.Join(dir, "true", "日本", "f")
	f, err := OpenHere(path)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 9)
	if n, err := f.Read(b); string(b[:n]) != "content" {
		t.Errorf("%q, %v", b[:n], err)
	}
	f.Close()
	if ok, err := Here(dir, `true\日本`); !ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	if _, err := OpenHere(filepath.Join(dir, "true", "日本", "..", "日本", "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := OpenHere(dir + `\true\..\true\日本\f`); err == nil {
		t.Error("a path that is another one's is taken")
	}
}

// One behind a link is not opened.
func TestOpenHereRefusesLinks(t *testing.T) {
	dir := tree(t)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "true"), link); err != nil {
		t.Skipf("no links to folders here: %v", err)
	}
	if _, err := os.Stat(filepath.Join(link, "日本", "f")); err != nil {
		t.Skipf("links to folders are not followed here: %v", err)
	}
	if _, err := OpenHere(filepath.Join(link, "日本", "f")); !errors.Is(err, ErrElsewhere) {
		t.Errorf("through a link: %v", err)
	}
	if ok, err := Here(dir, `link\日本`); ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
}

// Who keeps a file from being opened costs a while and no more.
func TestOpeningEnds(t *testing.T) {
	let, open := make(chan struct{}), make(chan struct{})
	begun := time.Now()
	_, err := within(10*time.Millisecond, func() (windows.Handle, error) {
		defer close(open)
		<-let
		return 0, windows.ERROR_ACCESS_DENIED
	})
	if !errors.Is(err, ErrBusy) {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
	close(let)
	<-open
	if _, err := within(time.Minute, func() (windows.Handle, error) { return 0, windows.ERROR_OPERATION_ABORTED }); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if h, err := within(time.Minute, func() (windows.Handle, error) { return 7, nil }); h != 7 || err != nil {
		t.Error(h, err)
	}
}
