package rig

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

func mount(dir string, size int64) error {
	err := unix.Mount("hozen-test", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%d,mode=0700", size))
	if errors.Is(err, unix.EPERM) {
		return ErrNoDisk
	}
	if err != nil {
		return fmt.Errorf("mount a small disk: %w", err)
	}
	return nil
}

func unmount(dir string) error {
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount a small disk: %w", err)
	}
	return nil
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) }

func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("ask for free space: %w", err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}
