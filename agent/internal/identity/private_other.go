//go:build !windows

package identity

import (
	"fmt"
	"io/fs"
)

// private refuses a key that others may read.
func private(_ string, fi fs.FileInfo) error {
	if fi.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("mode %#o lets others read it; want 0600", fi.Mode().Perm())
	}
	return nil
}
