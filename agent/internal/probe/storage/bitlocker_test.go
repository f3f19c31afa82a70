package storage

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"hozen/internal/artifact/record"
)

// volumeOf is a volume as it lies on its disk, with the metadata of BitLocker at 1 MiB and two
// more places.
func volumeOf(signature string, header int, metadata []byte) func(int64, int) ([]byte, error) {
	first := make([]byte, 8*sectorSize)
	copy(first[3:], signature)
	copy(first[header:], fveGUID())
	for i := range 3 {
		binary.LittleEndian.PutUint64(first[header+fveGUIDSize+8*i:], uint64(i+1)<<20)
	}
	return func(at int64, n int) ([]byte, error) {
		switch at {
		case 0:
			return first[:n], nil
		case 1 << 20: // one copy is damaged
			return make([]byte, n), nil
		case 2 << 20:
			return metadata, nil
		}
		return nil, fs.ErrInvalid
	}
}

func metadataOf(state, method uint16, protectors ...uint16) []byte {
	b := make([]byte, 4096)
	copy(b, fveSignature)
	le := binary.LittleEndian
	le.PutUint16(b[fveStateAt:], state)
	le.PutUint16(b[fveMethodAt:], method)
	at := fveEntriesAt
	entry := func(size int, typ uint16) []byte {
		e := b[at:][:size]
		le.PutUint16(e, uint16(size))
		le.PutUint16(e[2:], typ)
		at += size
		return e[fveEntrySize:]
	}
	entry(40, 7) // a description
	for _, p := range protectors {
		le.PutUint16(entry(80, fveVMK)[vmkTypeAt:], p)
	}
	le.PutUint32(b[fveMetadataAt:], uint32(at-fveMetadataAt))
	return b
}

func TestBitLocker(t *testing.T) {
	for name, c := range map[string]struct {
		read      func(int64, int) ([]byte, error)
		encrypted string
		options   []string
		bad       bool
	}{
		"on":        {volumeOf(fveSignature, fveHeaderAt, metadataOf(4, 0x8004, 0x100, 0x800)), record.EncryptedYes, []string{"state=encrypted", "method=aes-xts-128", "protector=tpm", "protector=recovery_password", "protection=on"}, false},
		"suspended": {volumeOf(fveSignature, fveHeaderAt, metadataOf(4, 0x8005, 0x500, 0)), record.EncryptedYes, []string{"state=encrypted", "method=aes-xts-256", "protector=tpm_pin", "protector=clear_key", "protection=suspended"}, false},
		"half":      {volumeOf(fveSignature, fveHeaderAt, metadataOf(2, 0x8002)), record.EncryptedPartly, []string{"state=changing", "method=aes-cbc-128", "protection=unknown"}, false},
		"to go":     {volumeOf(toGoSignature, toGoHeaderAt, metadataOf(4, 0x9999, 0x2000, 0x7777)), record.EncryptedYes, []string{"state=encrypted", "method=0x9999", "protector=password", "protector=0x7777", "protection=on"}, false},
		"new state": {volumeOf(fveSignature, fveHeaderAt, metadataOf(9, 0x8004, 0x100)), record.EncryptedUnknown, []string{"state=0x0009", "method=aes-xts-128", "protector=tpm", "protection=on"}, false},
		"none":      {volumeOf("NTFS    ", fveHeaderAt, nil), record.EncryptedNo, nil, false},
		"FAT":       {volumeOf(toGoSignature, 300, nil), record.EncryptedNo, nil, false},
		"other":     {volumeOf("LUKS????", fveHeaderAt, nil), record.EncryptedUnknown, nil, false},
		"damaged":   {volumeOf(fveSignature, fveHeaderAt, []byte("-FVE")), record.EncryptedUnknown, nil, true},
		"no places": {volumeOf(fveSignature, fveHeaderAt+8, nil), record.EncryptedUnknown, nil, true},
		"refused":   {func(int64, int) ([]byte, error) { return nil, fs.ErrPermission }, record.EncryptedUnknown, nil, true},
	} {
		var s record.Storage
		err := bitLocker(c.read, &s)
		if s.Encrypted != c.encrypted || !slices.Equal(s.Options, c.options) || (err != nil) != c.bad || name == "refused" && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %s %q, %v", name, s.Encrypted, s.Options, err)
		}
	}
	short := metadataOf(4, 0x8004, 0x100)
	binary.LittleEndian.PutUint16(short[fveEntriesAt:], 3)
	if _, err := parseFVE(short); !errors.Is(err, errFVE) {
		t.Errorf("an entry that is too short: %v", err)
	}
}

func FuzzFVE(f *testing.F) {
	first, _ := volumeOf(fveSignature, fveHeaderAt, nil)(0, sectorSize)
	f.Add(first, metadataOf(4, 0x8004, 0x100, 0))
	f.Fuzz(func(t *testing.T, sector, metadata []byte) {
		at, err := fveCopies(sector)
		if err == nil && len(at) != 0 && len(at) != 3 {
			t.Error(at)
		}
		if m, _ := parseFVE(metadata); len(m.protectors) > maxProtectors {
			t.Error(len(m.protectors))
		}
		var s record.Storage
		_ = bitLocker(func(o int64, n int) ([]byte, error) {
			if o == 0 {
				return sector, nil
			}
			return metadata, nil
		}, &s)
		if s.Encrypted == "" {
			t.Error("nothing is told")
		}
	})
}
