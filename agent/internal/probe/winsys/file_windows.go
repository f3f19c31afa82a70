package winsys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winbytes"
)

// File is an open file, which others may go on reading, writing and deleting.
type File struct{ h windows.Handle }

// Status is what the file system says of a file.
type Status struct {
	Volume, Index     uint64 // which name the file for as long as it is there
	Size              int64
	Created, Accessed time.Time
	Modified, Changed time.Time // of its content, of its entry
	Attributes        uint32    // FILE_ATTRIBUTE_…
}

// Open opens a file or a folder by its path, for its status alone or to be read too. Links are
// followed. A caller with the privilege of backups reads what its rights would not allow. What
// another program keeps from being read for a second is ErrBusy.
func Open(path string, read bool) (*File, error) {
	name, err := windows.UTF16PtrFromString(long(path))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	access := uint32(windows.FILE_READ_ATTRIBUTES)
	if read {
		access |= windows.GENERIC_READ
	}
	open := func() (windows.Handle, error) {
		return windows.CreateFile(name, access, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil,
			windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_SEQUENTIAL_SCAN, 0)
	}
	var h windows.Handle
	if read {
		h, err = within(openPatience, open)
	} else { // the status alone asks nobody to give up anything
		h, err = open()
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &File{h}, nil
}

// OpenToDelete opens a file that goes when it is closed, also by the end of this program.
func OpenToDelete(path string) (*File, error) {
	name, err := windows.UTF16PtrFromString(long(path))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.DELETE, windows.FILE_SHARE_READ|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_DELETE_ON_CLOSE|windows.FILE_FLAG_OPEN_REPARSE_POINT|windows.FILE_FLAG_SEQUENTIAL_SCAN, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &File{h}, nil
}

// long makes a path that may be longer than 260 units.
func long(path string) string {
	if len(path) > 2 && path[1] == ':' && path[2] == '\\' {
		return `\\?\` + path
	}
	return path
}

// Close lets go of the file.
func (f *File) Close() error { return windows.CloseHandle(f.h) }

// Read implements io.Reader.
func (f *File) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	var n uint32
	err := windows.ReadFile(f.h, b, &n, nil)
	if errors.Is(err, windows.ERROR_HANDLE_EOF) || err == nil && n == 0 {
		return 0, io.EOF
	}
	return int(n), err
}

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	return windows.Seek(f.h, offset, whence)
}

// Status asks the file system, through the open file.
func (f *File) Status() (s Status, err error) {
	var i windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(f.h, &i); err != nil {
		return s, fmt.Errorf("GetFileInformationByHandle: %w", err)
	}
	s = Status{
		Volume: uint64(i.VolumeSerialNumber), Index: uint64(i.FileIndexHigh)<<32 | uint64(i.FileIndexLow), Size: int64(i.FileSizeHigh)<<32 | int64(i.FileSizeLow),
		Created: fileTime(i.CreationTime), Accessed: fileTime(i.LastAccessTime), Modified: fileTime(i.LastWriteTime), Attributes: i.FileAttributes,
	}
	var basic struct { // FILE_BASIC_INFO
		created, accessed, written, changed int64
		attributes                          uint32
		_                                   uint32
	}
	if windows.GetFileInformationByHandleEx(f.h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&basic)), uint32(unsafe.Sizeof(basic))) == nil {
		s.Changed = winbytes.Time(basic.changed)
	}
	return s, nil
}

func fileTime(t windows.Filetime) time.Time {
	return winbytes.Time(int64(t.HighDateTime)<<32 | int64(t.LowDateTime))
}
