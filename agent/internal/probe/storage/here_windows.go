package storage

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/winsys"
	"hozen/internal/artifact/record"
)

const system = "windows"

// here asks for the volumes that have letters. One on another computer is told by name alone: it
// might not answer.
func here(ctx context.Context, _ string, o *facts.Out) error {
	mask, err := windows.GetLogicalDrives()
	if err != nil {
		return fmt.Errorf("GetLogicalDrives: %w", err)
	}
	for i := range 26 {
		if mask&(1<<i) == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		v, err := drive(string(rune('A'+i)) + ":")
		o.Miss(err)
		s := v.record()
		if v.kind == windows.DRIVE_FIXED || v.kind == windows.DRIVE_REMOVABLE {
			o.Miss(encryption(s))
		}
		if err := o.Write(s); err != nil {
			return err
		}
	}
	return nil
}

// encryption reads from the disk whether BitLocker encrypts a volume; one that is locked has
// nothing but that. An empty reader of cards has no disk.
func encryption(s *record.Storage) error {
	d, err := winsys.OpenDisk(s.Name)
	if errors.Is(err, windows.ERROR_NOT_READY) {
		return nil
	}
	if err == nil {
		defer d.Close()
		err = bitLocker(d.Read, s)
	}
	if err != nil {
		return fmt.Errorf("whether BitLocker encrypts %s: %w", s.Name, err)
	}
	return nil
}

// drive asks for one letter. What it tells beside an error is valid.
func drive(letter string) (v volume, err error) {
	v.letter = letter
	name, err := windows.UTF16PtrFromString(letter)
	if err != nil {
		return v, err
	}
	var device [1024]uint16
	if n, err := windows.QueryDosDevice(name, &device[0], uint32(len(device))); err == nil && n > 0 {
		v.device = windows.UTF16ToString(device[:])
	}
	root, err := windows.UTF16PtrFromString(letter + `\`)
	if err != nil {
		return v, err
	}
	v.kind = windows.GetDriveType(root)
	if v.kind != windows.DRIVE_FIXED && v.kind != windows.DRIVE_REMOVABLE && v.kind != windows.DRIVE_RAMDISK {
		return v, nil
	}
	var label, fs [windows.MAX_PATH + 1]uint16
	var longest uint32
	if err := windows.GetVolumeInformation(root, &label[0], uint32(len(label)), &v.serial, &longest, &v.flags, &fs[0], uint32(len(fs))); err != nil {
		if err == windows.ERROR_NOT_READY { // an empty reader of cards
			return v, nil
		}
		return v, fmt.Errorf("volume %s: %w", letter, err)
	}
	v.known, v.label, v.fs = true, windows.UTF16ToString(label[:]), windows.UTF16ToString(fs[:])
	var free, size, all uint64
	if windows.GetDiskFreeSpaceEx(root, &free, &size, &all) == nil && size >= all {
		v.size, v.used = size, size-all
	}
	return v, nil
}
