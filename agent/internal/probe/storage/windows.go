package storage

import (
	"fmt"

	"hozen/internal/artifact/record"
)

// volume is what Windows tells of a letter.
type volume struct {
	letter, device string
	kind           uint32 // DRIVE_… (fileapi.h)
	label, fs      string
	serial, flags  uint32
	known          bool // label, fs, serial and flags are
	size, used     uint64
}

// readOnlyVolume is FILE_READ_ONLY_VOLUME (winnt.h).
const readOnlyVolume = 0x80000

// record makes a record of it; [bitLocker] finds out whether it is encrypted.
func (v volume) record() *record.Storage {
	kinds := [...]string{"unknown", "no_root", "removable", "fixed", "remote", "cdrom", "ramdisk"}
	s := &record.Storage{Type: record.StorageMount, Name: v.letter, Source: v.device, Size: v.size, Used: v.used, Encrypted: record.EncryptedUnknown}
	if v.kind < uint32(len(kinds)) {
		s.Kind = kinds[v.kind]
	} else {
		s.Kind = fmt.Sprint(v.kind)
	}
	s.Removable = s.Kind == "removable"
	if s.Kind == "remote" {
		s.Encrypted = ""
	}
	if v.known {
		s.FSType, s.Model, s.Serial, s.ReadOnly = v.fs, v.label, fmt.Sprintf("%08x", v.serial), v.flags&readOnlyVolume != 0
	}
	return s
}
