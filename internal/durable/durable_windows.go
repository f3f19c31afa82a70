package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// SyncDir does nothing: NTFS journals names itself, and Windows has no way to flush
// a folder without administrator rights to the volume. What must be durable is
// moved with MOVEFILE_WRITE_THROUGH, which returns only after the move is on disk.
func SyncDir(string) error { return nil }

// replace also replaces a file that is read-only, which MoveFileExW refuses.
func replace(from, to string) error {
	const flags = windows.MOVEFILE_REPLACE_EXISTING | windows.MOVEFILE_WRITE_THROUGH
	err := move(from, to, flags)
	if !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return err
	}
	if fi, serr := os.Lstat(to); serr != nil || !fi.Mode().IsRegular() || fi.Mode().Perm()&0o200 != 0 {
		return err
	}
	if err := os.Chmod(to, 0o600); err != nil {
		return err
	}
	return move(from, to, flags)
}

func renameNew(from, to string) error { return move(from, to, windows.MOVEFILE_WRITE_THROUGH) }

func move(from, to string, flags uint32) error {
	f, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	t, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	for until := time.Now().Add(patience); ; time.Sleep(lookAgain) {
		err := windows.MoveFileEx(f, t, flags)
		if err == nil {
			return nil
		}
		if !held(err, t) || time.Now().After(until) {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
		}
	}
}

// held reports whether somebody's open handle is why a file could not be moved. One that is to
// be replaced and is being read is told as ERROR_ACCESS_DENIED, as if it were not ours to
// replace; whether it is, asking for it with the right to delete it tells.
func held(err error, to *uint16) bool {
	if !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return errors.Is(err, windows.ERROR_SHARING_VIOLATION)
	}
	const all = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	if held, known := byAttributes(windows.GetFileAttributes(to)); known {
		return held
	}
	h, err := windows.CreateFile(to, windows.DELETE, all, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err == nil { // it was let go of just now
		return windows.CloseHandle(h) == nil
	}
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION)
}

// byAttributes reports whether somebody's open handle is why a name could not be replaced, and
// whether the answer of GetFileAttributes to that name tells.
func byAttributes(attr uint32, err error) (held, known bool) {
	if going(err) || errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		// It was removed, and goes when the last who has it open lets go, or went just now. Where there
		// was nothing, somebody has open what is to be moved, or a file in that folder.
		return true, true
	}
	return false, err != nil || attr&(windows.FILE_ATTRIBUTE_DIRECTORY|windows.FILE_ATTRIBUTE_READONLY) != 0
}

// going reports whether err is what a name gives that was removed while somebody has the file
// open: a file system that knows no other removing (FAT) keeps it until then, and lets nobody open
// or make it. It does not say that it is so: who may not have the file is told the same.
func going(err error) bool {
	return errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_DELETE_PENDING)
}

// Patient does something to a name that somebody else may have open for a moment, and again until
// it succeeds, or fails for another reason, or two seconds have passed.
func Patient(do func() error) error {
	for until := time.Now().Add(patience); ; time.Sleep(lookAgain) {
		err := do()
		if err == nil || !going(err) && !errors.Is(err, windows.ERROR_SHARING_VIOLATION) || time.Now().After(until) {
			return err
		}
	}
}

// Who looks at every new file, as virus scanners and search do, holds it for a moment, in
// which it cannot be renamed or replaced.
const (
	patience  = 2 * time.Second
	lookAgain = 5 * time.Millisecond
)

// Free returns how many bytes this process's user may still store on the volume
// that holds path (GetDiskFreeSpaceExW, lpFreeBytesAvailableToCaller).
func Free(path string) (uint64, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, fmt.Errorf("ask for free space: %w", err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("ask for free space: %w", &os.PathError{Op: "GetDiskFreeSpaceEx", Path: path, Err: err})
	}
	return free, nil
}

// IsFull reports whether err means that no space is left, or no quota.
func IsFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// WriteBehind does nothing on this system.
func WriteBehind(*os.File, int64, int64) error { return nil }

// Ours reports nothing here: who may write is said by the rights of the state folder, which
// its owner keeps.
func Ours(fs.FileInfo) error { return nil }
