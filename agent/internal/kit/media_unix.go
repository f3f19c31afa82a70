//go:build !windows

package kit

import (
	"errors"
	"syscall"
)

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

// isGone reports whether the medium was taken away (a stick that is pulled out answers
// like that until it is unmounted).
func isGone(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO)
}

// isTooLarge reports whether a file cannot grow: FAT32 has 4 GiB for one.
func isTooLarge(err error) bool { return errors.Is(err, syscall.EFBIG) }
