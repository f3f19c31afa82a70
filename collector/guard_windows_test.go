package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"

	"hozen/internal/winapi/folder"
)

// TestGuard: nobody but the system and the administrators is named any more.
func TestGuard(t *testing.T) {
	if !folder.Administrator() {
		t.Skip("for administrators")
	}
	dir := filepath.Join(t.TempDir(), "Collector")
	if err := guardFile(filepath.Join(dir, "none.key")); err != nil {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := guardFolder(dir); err != nil { // made closed
		t.Fatal(err)
	}
	key := filepath.Join(dir, "pki", "ca.key")
	if err := os.MkdirAll(filepath.Dir(key), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte("k"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := guardFolder(dir); err != nil {
		t.Fatal(err)
	}
	if err := guardFile(key); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Dir(key), key} {
		sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range []string{";WD)", ";BU)", ";AU)"} {
			if strings.Contains(sd.String(), who) {
				t.Errorf("%s is open: %s", path, sd)
			}
		}
	}
	if b, err := os.ReadFile(key); err != nil || string(b) != "k" {
		t.Errorf("%q, %v", b, err)
	}
}
