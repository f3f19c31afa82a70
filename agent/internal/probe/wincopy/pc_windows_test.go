package wincopy

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/windows"
)

func TestThisPC(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "日本語.txt")
	if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	list, err := new(PC).List(dir)
	if err != nil || len(list) != 1 || list["日本語.txt"].Size != 7 || list["日本語.txt"].Directory {
		t.Errorf("%+v, %v", list, err)
	}
	f, err := new(PC).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Status()
	b, rerr := io.ReadAll(f)
	if err != nil || rerr != nil || string(b) != "content" || st.Size != 7 || st.Modified.IsZero() || st.Index == 0 {
		t.Errorf("%q, %v, %v, %+v", b, err, rerr, st)
	}
	f.Close()
	name, _ := windows.UTF16PtrFromString(path)
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(h)
	if _, err := new(PC).Open(path); !errors.Is(err, ErrLocked) {
		t.Errorf("a file that nobody may share: %v", err)
	}
	for _, place := range []string{"W", "C", "D", "~"} {
		if dirs, err := new(PC).Places(place); err != nil || len(dirs) == 0 || dirs[0] == "" {
			t.Errorf("%s: %q, %v", place, dirs, err)
		}
	}
}

func TestHiveOfThisPC(t *testing.T) {
	p := &PC{Room: filepath.Join(t.TempDir(), "copies")}
	names, err := p.Saves("H", "SOFTWARE")
	if err != nil || !slices.Equal(names, []string{`HKLM\SOFTWARE`}) {
		t.Fatal(names, err)
	}
	f, err := p.Save(t.Context(), names[0], mib)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil || len(b) == 0 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(p.Room); err != nil || len(left) > 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
}
