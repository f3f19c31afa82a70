package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"hozen/internal/durable"
)

// going makes a file that was removed and is still open, and is so until the function that it
// returns is called: its name can be neither opened nor made meanwhile.
func going(t *testing.T, path string) (let func()) {
	t.Helper()
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	const all = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	var hs [2]windows.Handle
	for i, access := range []uint32{windows.GENERIC_READ, windows.DELETE} {
		if hs[i], err = windows.CreateFile(name, access, all, nil, windows.OPEN_EXISTING, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	remove := byte(1)
	if err := windows.SetFileInformationByHandle(hs[1], windows.FileDispositionInfo, &remove, uint32(unsafe.Sizeof(remove))); err != nil {
		t.Fatal(err)
	}
	if err := windows.CloseHandle(hs[1]); err != nil {
		t.Fatal(err)
	}
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
		f.Close()
		windows.CloseHandle(hs[0])
		t.Skip("a removed name is free at once here")
	}
	return func() { windows.CloseHandle(hs[0]) }
}

// TestWritesWhatIsGoing: a file that was removed while somebody reads it is written again when that
// one lets go, and the failure is told when he does not.
func TestWritesWhatIsGoing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "word.json")
	soon := time.AfterFunc(200*time.Millisecond, going(t, path))
	defer soon.Stop()
	if err := durable.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); string(b) != "new" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	path += "2"
	defer going(t, path)()
	if err := durable.WriteFile(path, []byte("new"), 0o600); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("written while it was there: %v", err)
	}
}

// TestPatient: what another's open handle explains is tried again, and nothing else.
func TestPatient(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		again bool
	}{
		"removed and still open":  {windows.ERROR_DELETE_PENDING, true},
		"the same, by most calls": {&fs.PathError{Op: "open", Path: "x", Err: windows.ERROR_ACCESS_DENIED}, true},
		"held":                    {&fs.PathError{Op: "remove", Path: "x", Err: windows.ERROR_SHARING_VIOLATION}, true},
		"not there":               {windows.ERROR_FILE_NOT_FOUND, false},
		"full":                    {windows.ERROR_DISK_FULL, false},
	} {
		n := 0
		err := durable.Patient(func() error {
			if n++; n < 3 {
				return c.err
			}
			return nil
		})
		if (err == nil) != c.again || (n == 3) != c.again {
			t.Errorf("%s: tried %d times, %v", name, n, err)
		}
	}
}

// TestRemovesWhatIsHeld: who holds a file and lets nobody remove it is waited for.
func TestRemovesWhatIsHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "word.json")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path) // shares reading and writing alone
	if err != nil {
		t.Fatal(err)
	}
	soon := time.AfterFunc(200*time.Millisecond, func() { reader.Close() })
	defer soon.Stop()
	if err := durable.Remove(path); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}
