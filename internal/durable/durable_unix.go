//go:build unix

package durable

import (
	"fmt"
	"os"
)

// SyncDir makes the names in a folder durable (fsync(2): "Calling fsync() does not
// necessarily ensure that the entry in the directory containing the file has also
// reached disk").
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

func replace(from, to string) error { return os.Rename(from, to) }

// renameNew links and unlinks, because rename(2) replaces silently.
func renameNew(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}
