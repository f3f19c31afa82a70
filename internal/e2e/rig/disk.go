package rig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Disk is a small disk that a folder lies on, to be filled.
type Disk struct{ dir string }

// ErrNoDisk means that this process may not mount a disk.
var ErrNoDisk = errors.New("mounting a small disk needs root on Linux")

// NewDisk mounts a disk of so many bytes over a folder, whose files move onto it.
func NewDisk(dir string, size int64) (*Disk, error) {
	aside := dir + ".aside"
	if err := os.Rename(dir, aside); err != nil {
		return nil, fmt.Errorf("move folder aside: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of a disk: %w", err)
	}
	if err := mount(dir, size); err != nil {
		return nil, errors.Join(err, os.Remove(dir), os.Rename(aside, dir))
	}
	d := &Disk{dir}
	if err := move(dir, aside); err != nil {
		return nil, errors.Join(fmt.Errorf("move files onto a disk: %w", err), d.Close())
	}
	return d, nil
}

// move copies files and their modes; sockets and the like stay behind.
func move(to, from string) error {
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == from {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case fi.IsDir():
			return os.Mkdir(target, fi.Mode().Perm())
		case fi.Mode().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(target, b, fi.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(from)
}

// Fill leaves so many bytes of the disk free.
func (d *Disk) Fill(leave int64) error {
	if err := d.Free(); err != nil {
		return err
	}
	free, err := freeBytes(d.dir)
	if err != nil {
		return err
	}
	// Somebody else may take the last bytes meanwhile: then it is full all the same.
	if err := os.WriteFile(d.ballast(), make([]byte, max(free-leave, 0)), 0o600); err != nil && !isFull(err) {
		return fmt.Errorf("fill disk: %w", err)
	}
	return nil
}

// Free takes away what Fill wrote.
func (d *Disk) Free() error {
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make room on disk: %w", err)
	}
	return nil
}

func (d *Disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// Close takes the disk away, with everything on it.
func (d *Disk) Close() error { return unmount(d.dir) }
