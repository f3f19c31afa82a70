//go:build !linux

package rig

func mount(string, int64) error { return ErrNoDisk }

func unmount(string) error { return ErrNoDisk }

func isFull(error) bool { return false }

func freeBytes(string) (int64, error) { return 0, ErrNoDisk }
