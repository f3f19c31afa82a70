package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

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

// WriteBehind goes behind the writer of a large file, a window at a time: it asks the
// kernel to begin writing the n bytes from offset on, waits until all before them is
// written, and gives the memory of that back. So the sync at the end has little left to
// do, and evidence that passes through pushes nothing else out of the machine's cache.
//
// An error is one of writing, and the file must be taken for broken and written anew:
// the kernel tells it only once (sync_file_range(2)), and reading shows the cache, which
// looks whole.
func WriteBehind(f *os.File, offset, n int64) error {
	fd := int(f.Fd())
	// What fails here already was taken out of the cache, and the sync at the end may not
	// hear of it any more: some file systems lose such pages without a mark.
	err := unix.SyncFileRange(fd, offset, n, unix.SYNC_FILE_RANGE_WRITE)
	if err == nil && offset > 0 {
		const wait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
		err = unix.SyncFileRange(fd, 0, offset, wait)
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ESPIPE) {
		return nil // not a file system that knows this
	}
	if err != nil {
		return &os.PathError{Op: "sync_file_range", Path: f.Name(), Err: err}
	}
	if offset == 0 {
		return nil
	}
	_ = unix.Fadvise(fd, 0, offset, unix.FADV_DONTNEED) // advice: when it fails, the memory stays taken a while
	return nil
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

// Patient does something once: here no open file stands in the way of its name.
func Patient(do func() error) error { return do() }

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

// Ours reports why what fi tells of may hold what others put there: it belongs neither to
// root nor to this program's account, or its mode lets others write it. Whoever may write the
// folder that holds it is not asked after.
func Ours(fi fs.FileInfo) error {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("belongs to uid %d", st.Uid)
	}
	if p := fi.Mode().Perm(); p&0o022 != 0 {
		return fmt.Errorf("mode %#o lets others write it", p)
	}
	return nil
}
