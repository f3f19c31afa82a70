package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"
)

// TestTake: what is ours stays where it is, what is not is moved beside the folder.
func TestTake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "状態")
	if aside, err := Take(dir, Closed); err != nil || len(aside) > 0 {
		t.Fatalf("%q, %v", aside, err)
	}
	own := filepath.Join(dir, "own", "key")
	if err := os.MkdirAll(filepath.Dir(own), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, []byte("k"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, access := range []string{Readable, Closed, Closed} {
		if aside, err := Take(dir, access); err != nil || len(aside) > 0 {
			t.Fatalf("%q, %v", aside, err)
		}
		if b, err := os.ReadFile(own); err != nil || string(b) != "k" {
			t.Errorf("%q, %v", b, err)
		}
	}
	if err := errors.Join(Close(dir), CloseFile(own), Own(own), Own(dir)); err != nil {
		t.Error(err)
	}
}

// TestTakeOfAFile: a file in the folder's place is none of ours.
func TestTakeOfAFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(dir, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Close(dir); !errors.Is(err, ErrForeign) {
		t.Errorf("%v", err)
	}
	aside, err := Take(dir, Closed)
	if err != nil || len(aside) != 1 {
		t.Fatalf("%q, %v", aside, err)
	}
	if b, err := os.ReadFile(aside[0]); err != nil || string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
	if fi, err := os.Lstat(dir); err != nil || !fi.IsDir() {
		t.Errorf("%v", err)
	}
}

// TestTakeOfALink: a junction in the folder's place, and one in it, are not followed.
func TestTakeOfALink(t *testing.T) {
	home := t.TempDir()
	elsewhere, dir := filepath.Join(home, "elsewhere"), filepath.Join(home, "state")
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, dir); err != nil {
		t.Skip(err)
	}
	if fi, err := os.Lstat(dir); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		t.Skip("this system makes no links")
	}
	if err := Own(dir); !errors.Is(err, ErrForeign) {
		t.Errorf("%v", err)
	}
	if aside, err := Take(dir, Closed); err != nil || len(aside) != 1 {
		t.Fatalf("%q, %v", aside, err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(dir, "spool")); err != nil {
		t.Fatal(err)
	}
	if aside, err := Take(dir, Readable); err != nil || len(aside) > 0 { // no longer closed
		t.Fatalf("%q, %v", aside, err)
	}
	aside, err := Take(dir, Closed)
	if _, gone := os.Lstat(filepath.Join(dir, "spool")); err != nil || len(aside) != 1 || !errors.Is(gone, fs.ErrNotExist) {
		t.Errorf("%q, %v, %v", aside, err, gone)
	}
}

// TestTrusted: others are strangers.
func TestTrusted(t *testing.T) {
	for text, want := range map[string]bool{"S-1-5-18": true, "S-1-5-32-544": true, "S-1-5-32-545": false, "S-1-1-0": false, "S-1-5-21-1-2-3-1001": false} {
		sid, err := windows.StringToSid(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := trusted(sid); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
	if trusted(nil) {
		t.Error("nobody is trusted")
	}
}
