package winsys

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winbytes"
)

// Listed is an entry of a folder, as the folder tells it.
type Listed struct {
	Name       string
	Size       int64
	Attributes uint32
	// Tag is the kind of a reparse point, 0 for none.
	Tag                         uint32
	Created, Modified, Accessed time.Time
}

// Link reports whether it leads to another place: a symbolic link or a mount point.
func (l Listed) Link() bool {
	return l.Tag == windows.IO_REPARSE_TAG_SYMLINK || l.Tag == windows.IO_REPARSE_TAG_MOUNT_POINT
}

// Elsewhere reports whether reading it would fetch it from another computer.
func (l Listed) Elsewhere() bool {
	const recallOnOpen, recallOnDataAccess = 0x40000, 0x400000 // FILE_ATTRIBUTE_…
	return l.Attributes&(windows.FILE_ATTRIBUTE_OFFLINE|recallOnOpen|recallOnDataAccess) != 0
}

// Directory reports whether it is a folder.
func (l Listed) Directory() bool { return l.Attributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0 }

// maxEntries bounds the entries of one folder.
const maxEntries = 1 << 17

// List tells of the entries of a folder; none of them is opened.
func List(dir string) (list []Listed, err error) {
	where, err := windows.UTF16PtrFromString(long(dir) + `\*`)
	if err != nil {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: err}
	}
	var d windows.Win32finddata
	h, err := windows.FindFirstFile(where, &d)
	if err != nil {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: err}
	}
	defer windows.FindClose(h)
	for range maxEntries {
		name, _ := winbytes.Text16(units(&d.FileName[0]))
		if name != "." && name != ".." {
			l := Listed{
				Name: name, Size: int64(d.FileSizeHigh)<<32 | int64(d.FileSizeLow), Attributes: d.FileAttributes,
				Created: fileTime(d.CreationTime), Modified: fileTime(d.LastWriteTime), Accessed: fileTime(d.LastAccessTime),
			}
			if d.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
				l.Tag = d.Reserved0
			}
			list = append(list, l)
		}
		if err := windows.FindNextFile(h, &d); err != nil {
			if errors.Is(err, windows.ERROR_NO_MORE_FILES) {
				return list, nil
			}
			return list, &fs.PathError{Op: "list", Path: dir, Err: err}
		}
	}
	return list, fmt.Errorf("list %s: more than %d entries", dir, maxEntries)
}
