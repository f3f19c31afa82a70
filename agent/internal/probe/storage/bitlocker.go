package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"hozen/internal/artifact/record"
)

// What BitLocker writes onto a disk, as libyal describes it ("BitLocker Drive Encryption (BDE)
// format") and cryptsetup reads it (lib/bitlk/bitlk.h). Only the disk itself shows it: whoever
// reads the volume gets what is decrypted.
const (
	fveSignature  = "-FVE-FS-"
	toGoSignature = "MSWIN4.1" // of a volume that older systems are to see as FAT

	sectorSize    = 512
	fveHeaderAt   = 160 // in the volume's first sector: GUID, and where three copies are
	toGoHeaderAt  = 424
	fveGUIDSize   = 16
	fveStateAt    = 12 // u16
	fveMetadataAt = 64
	fveHeaderSize = 48
	fveMethodAt   = fveMetadataAt + 36
	fveEntriesAt  = fveMetadataAt + fveHeaderSize
	fveEntrySize  = 8  // size, type of entry, type of value, version: u16 each
	vmkTypeAt     = 26 // in the data of a protector's entry
	fveVMK        = 2

	// fveRead is how much of a copy is read; a few KB are in use.
	fveRead       = 64 << 10
	maxProtectors = 64
)

var errFVE = errors.New("what BitLocker wrote onto the disk is not understood")

// fveGUID is 4967d63b-2e29-4ad8-8399-f6a339e3d001, as it stands on a disk.
func fveGUID() []byte {
	return []byte{0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01}
}

// fveCopies reads the first sector of a volume as it lies on the disk: where on the volume the
// copies of the metadata are. None means that BitLocker does not encrypt it.
func fveCopies(sector []byte) (at []int64, err error) {
	if len(sector) < sectorSize {
		return nil, fmt.Errorf("first sector: %w", errFVE)
	}
	signature, header := string(sector[3:3+len(fveSignature)]), fveHeaderAt
	switch {
	case signature == toGoSignature && bytes.Equal(sector[toGoHeaderAt:][:fveGUIDSize], fveGUID()):
		header = toGoHeaderAt
	case signature != fveSignature:
		return nil, nil
	}
	for i := range 3 {
		o := binary.LittleEndian.Uint64(sector[header+fveGUIDSize+8*i:])
		if o == 0 || o > 1<<60 || o%sectorSize != 0 {
			return nil, fmt.Errorf("place of metadata %#x: %w", o, errFVE)
		}
		at = append(at, int64(o))
	}
	return at, nil
}

// fve is what a copy of the metadata says.
type fve struct {
	state, method uint16
	protectors    []uint16
}

// parseFVE reads a copy of the metadata.
func parseFVE(b []byte) (f fve, err error) {
	if len(b) < fveEntriesAt || string(b[:len(fveSignature)]) != fveSignature {
		return f, fmt.Errorf("metadata: %w", errFVE)
	}
	le := binary.LittleEndian
	f.state, f.method = le.Uint16(b[fveStateAt:]), le.Uint16(b[fveMethodAt:])
	end := min(int64(len(b)), fveMetadataAt+int64(le.Uint32(b[fveMetadataAt:])))
	for at := int64(fveEntriesAt); at+fveEntrySize <= end; {
		size := int64(le.Uint16(b[at:]))
		if size < fveEntrySize || at+size > end {
			if size == 0 { // the rest is not in use
				return f, nil
			}
			return f, fmt.Errorf("entry of %d bytes: %w", size, errFVE)
		}
		if le.Uint16(b[at+2:]) == fveVMK && size >= fveEntrySize+vmkTypeAt+2 && len(f.protectors) < maxProtectors {
			f.protectors = append(f.protectors, le.Uint16(b[at+fveEntrySize+vmkTypeAt:]))
		}
		at += size
	}
	return f, nil
}

// clearKey is a protector that protects nothing: the key lies beside, as long as somebody has
// suspended BitLocker.
const clearKey = 0

// tell says it in the words of a record.
func (f fve) tell(s *record.Storage) {
	s.Layers = []string{"BITLK"}
	name := func(names map[uint16]string, n uint16) string {
		if w, ok := names[n]; ok {
			return w
		}
		return fmt.Sprintf("%#04x", n)
	}
	state := name(map[uint16]string{1: "decrypted", 2: "changing", 4: "encrypted", 5: "paused"}, f.state)
	switch state {
	case "encrypted":
		s.Encrypted = record.EncryptedYes
	case "changing", "paused":
		s.Encrypted = record.EncryptedPartly
	case "decrypted":
		s.Encrypted = record.EncryptedNo
	}
	s.Options = append(s.Options, "state="+state, "method="+name(map[uint16]string{
		0x8000: "aes-cbc-128-diffuser", 0x8001: "aes-cbc-256-diffuser", 0x8002: "aes-cbc-128", 0x8003: "aes-cbc-256", 0x8004: "aes-xts-128", 0x8005: "aes-xts-256",
	}, f.method))
	protection := "on"
	for _, p := range f.protectors {
		if p == clearKey {
			protection = "suspended"
		}
		s.Options = append(s.Options, "protector="+name(map[uint16]string{
			clearKey: "clear_key", 0x0100: "tpm", 0x0200: "startup_key", 0x0500: "tpm_pin", 0x0800: "recovery_password", 0x1000: "smart_card", 0x2000: "password",
		}, p))
	}
	if len(f.protectors) == 0 {
		protection = "unknown"
	}
	s.Options = append(s.Options, "protection="+protection)
}

// bitLocker reads a volume as it lies on its disk, by read, and tells whether it is encrypted.
// What could not be found out is unknown, with the reason.
func bitLocker(read func(at int64, n int) ([]byte, error), s *record.Storage) error {
	s.Encrypted = record.EncryptedUnknown
	b, err := read(0, 8*sectorSize) // some disks give no less
	if err != nil {
		return fmt.Errorf("read first sector: %w", err)
	}
	copies, err := fveCopies(b)
	if err != nil {
		return err
	}
	if len(copies) == 0 {
		if plain(b) {
			s.Encrypted = record.EncryptedNo
		}
		return nil
	}
	var errs []error
	for _, at := range copies {
		b, err := read(at, fveRead)
		if err == nil {
			var f fve
			if f, err = parseFVE(b); err == nil {
				f.tell(s)
				return nil
			}
		}
		errs = append(errs, err)
	}
	s.Layers = []string{"BITLK"}
	return fmt.Errorf("read metadata of BitLocker: %w", errors.Join(errs...))
}

// plain reports whether a file system is seen on the disk itself.
func plain(sector []byte) bool {
	switch string(sector[3:11]) {
	case "NTFS    ", "EXFAT   ", "ReFS\x00\x00\x00\x00", "MSDOS5.0", toGoSignature:
		return true
	}
	return false
}
