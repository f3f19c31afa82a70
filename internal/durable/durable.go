// Package durable writes files that are whole after a power cut: the bytes are
// synced before the name appears, and the folder after it. It knows nothing of what
// the files hold.
//
// Reasons and traps: Pillai et al., "All File Systems Are Not Created Equal" (OSDI
// 2014); Rebello et al., "Can Applications Recover from fsync Failures?" (ATC 2020):
// after a failed fsync the file is written anew, never synced again.
//
// BUG: a disk that lies about its cache can't be helped from here.
package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// tempPattern names files that are being written; what is left of them after a
// crash may be removed, see [IsTemp].
const tempPattern = ".tmp-*"

// IsTemp reports whether name is that of a file that this package was writing.
func IsTemp(name string) bool {
	ok, err := filepath.Match(tempPattern, filepath.Base(name))
	return err == nil && ok
}

// WriteFile replaces or creates the file at path. After a crash there is the old
// file or the new one, whole.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return write(path, mode, Rename, data)
}

// CreateFile creates the file at path; when there is one, it fails with an error
// wrapping fs.ErrExist and leaves that one untouched. After a crash there is
// nothing or the whole file.
func CreateFile(path string, data []byte, mode fs.FileMode) error {
	return write(path, mode, RenameNew, data)
}

func write(path string, mode fs.FileMode, place func(from, to string) error, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPattern)
	if err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %q: %w", path, err)
			if rerr := Patient(func() error { return os.Remove(f.Name()) }); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
				err = errors.Join(err, rerr)
			}
		}
	}()
	_, err = io.Copy(f, bytes.NewReader(data))
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return place(f.Name(), path)
}

// Rename moves a file whose content is synced to its name, replacing what was
// there, and makes the name durable.
func Rename(from, to string) error {
	if err := replace(from, to); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// RenameNew is [Rename], except that it fails with an error wrapping fs.ErrExist
// when to exists. After a crash the file may have both names.
func RenameNew(from, to string) error {
	if err := renameNew(from, to); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// MkdirAll makes a folder and its parents and makes their names durable.
func MkdirAll(dir string, mode fs.FileMode) error {
	fi, err := os.Stat(dir)
	if err == nil {
		if !fi.IsDir() {
			return fmt.Errorf("make folder %q: %w", dir, fs.ErrExist)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(parent, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	return SyncDir(parent)
}

// Remove removes a file, if it is there, and makes that durable.
func Remove(path string) error {
	if err := Patient(func() error { return os.Remove(path) }); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("remove: %w", err)
	}
	return SyncDir(filepath.Dir(path))
}
