package localapi

import (
	"errors"
	"fmt"
	"os"
)

// ErrLocked means that a collector works on this data folder.
var ErrLocked = errors.New("a collector is working on this data folder")

// Lock takes the data folder for one collector, until the returned function is
// called or the process ends however it ends. It fails with [ErrLocked].
func Lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock data folder: %w", err), f.Close())
	}
	return f.Close, nil
}
