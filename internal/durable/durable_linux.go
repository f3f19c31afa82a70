package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// renameNew uses RENAME_NOREPLACE (renameat2(2)): one step, so that a crash never
// leaves two names. File systems without it get a link and an unlink.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return linkNew(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// StartWriteback asks the kernel to begin writing bytes of a file that is still
// growing, so that the sync at its end has less to wait for. It promises nothing
// (sync_file_range(2)), and a failure means only that Sync takes longer.
func StartWriteback(f *os.File, offset, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WRITE)
}

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

// linkNew links and unlinks, because rename(2) replaces silently.
func linkNew(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return err
	}
	return os.Remove(from)
}

// Free returns how many bytes an unprivileged writer may still store in the file
// system that holds path (statfs(2), f_bavail).
func Free(path string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, fmt.Errorf("ask for free space: %w", &os.PathError{Op: "statfs", Path: path, Err: err})
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// IsFull reports whether err means that no space is left, or no quota.
func IsFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}
