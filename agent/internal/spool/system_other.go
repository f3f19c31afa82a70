//go:build !linux && !windows

package spool

import (
	"errors"
	"os"
)

func lockFolder(root *os.Root) (*os.File, error) {
	return root.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
}

func freeBytes(string) (int64, error) { return 0, errors.ErrUnsupported }
