package winsys

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"
)

// maxPipes bounds the named pipes that are told.
const maxPipes = 1 << 16

// Pipes lists the names of the named pipes of this PC; none is opened.
func (System) Pipes() (list [][]uint16, err error) {
	where, err := windows.UTF16PtrFromString(`\\.\pipe\*`)
	if err != nil {
		return nil, err
	}
	var d windows.Win32finddata
	h, err := windows.FindFirstFile(where, &d)
	if err != nil {
		if errors.Is(err, windows.ERROR_FILE_NOT_FOUND) || errors.Is(err, windows.ERROR_PATH_NOT_FOUND) || errors.Is(err, windows.ERROR_BAD_DEV_TYPE) {
			// It must not wrap "not there", which is no loss elsewhere: every Windows has pipes.
			return nil, fmt.Errorf("list named pipes: %w: %v", errors.ErrUnsupported, err)
		}
		return nil, fmt.Errorf("list named pipes: %w", told(err))
	}
	defer windows.FindClose(h)
	for len(list) < maxPipes {
		list = append(list, units(&d.FileName[0]))
		if err := windows.FindNextFile(h, &d); err != nil {
			if errors.Is(err, windows.ERROR_NO_MORE_FILES) {
				return list, nil
			}
			return list, fmt.Errorf("list named pipes: %w", told(err))
		}
	}
	return list, nil
}
