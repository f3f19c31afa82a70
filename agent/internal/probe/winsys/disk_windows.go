package winsys

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Codes of winioctl.h that x/sys does not have.
const (
	ioctlVolumeExtents   = 0x00560000 // IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS
	fsctlQueryUSNJournal = 0x000900f4
	fsctlReadUSNJournal  = 0x000900bb
)

// device opens "\\.\C:" or "\\.\PhysicalDrive0".
func device(path string, access uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	h, err := windows.CreateFile(name, access, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", path, told(err))
	}
	return h, nil
}

// control is DeviceIoControl.
func control(h windows.Handle, code uint32, in, out []byte) (int, error) {
	var from *byte
	if len(in) > 0 {
		from = &in[0]
	}
	var n uint32
	if err := windows.DeviceIoControl(h, code, from, uint32(len(in)), &out[0], uint32(len(out)), &n, nil); err != nil {
		return 0, told(err)
	}
	return int(n), nil
}

// ErrSpread means that a volume does not lie on one disk in one piece.
var ErrSpread = errors.New("the volume lies on several disks")

// Disk reads a volume as it lies on its disk.
type Disk struct {
	h  windows.Handle
	at int64 // where the volume begins
}

// OpenDisk opens the disk on which the volume of a letter ("C:") lies. Nothing is written.
func OpenDisk(letter string) (*Disk, error) {
	v, err := device(`\\.\`+letter, 0)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(v)
	var extents struct { // VOLUME_DISK_EXTENTS
		count        uint32
		_            uint32
		disk         uint32
		_            uint32
		start, bytes int64
	}
	out := unsafe.Slice((*byte)(unsafe.Pointer(&extents)), int(unsafe.Sizeof(extents)))
	if _, err := control(v, ioctlVolumeExtents, nil, out); errors.Is(err, windows.ERROR_MORE_DATA) {
		return nil, ErrSpread
	} else if err != nil {
		return nil, fmt.Errorf("ask for the disk of %s: %w", letter, err)
	}
	if extents.count != 1 {
		return nil, ErrSpread
	}
	h, err := device(fmt.Sprintf(`\\.\PhysicalDrive%d`, extents.disk), windows.GENERIC_READ)
	if err != nil {
		return nil, err
	}
	return &Disk{h, extents.start}, nil
}

// Read reads n bytes of the volume, both multiples of 4096.
func (d *Disk) Read(at int64, n int) ([]byte, error) {
	if _, err := windows.Seek(d.h, d.at+at, 0); err != nil {
		return nil, fmt.Errorf("seek on disk: %w", told(err))
	}
	b := make([]byte, n)
	var got uint32
	if err := windows.ReadFile(d.h, b, &got, nil); err != nil {
		return nil, fmt.Errorf("read disk: %w", told(err))
	}
	return b[:got], nil
}

// Close lets go of the disk.
func (d *Disk) Close() error { return windows.CloseHandle(d.h) }

// Journal is the USN journal of a volume, which says what was made, renamed and deleted on it.
type Journal struct{ h windows.Handle }

// OpenJournal opens that of the volume of a letter ("C:").
func OpenJournal(letter string) (*Journal, error) {
	h, err := device(`\\.\`+letter, windows.GENERIC_READ)
	if err != nil {
		return nil, err
	}
	return &Journal{h}, nil
}

// Query is FSCTL_QUERY_USN_JOURNAL; the answer is USN_JOURNAL_DATA_V0.
func (j *Journal) Query() ([]byte, error) {
	b := make([]byte, 128)
	n, err := control(j.h, fsctlQueryUSNJournal, nil, b)
	if errors.Is(err, windows.Errno(1179)) { // ERROR_JOURNAL_NOT_ACTIVE
		return nil, fmt.Errorf("FSCTL_QUERY_USN_JOURNAL: %w: %w", errors.ErrUnsupported, err)
	}
	if err != nil {
		return nil, fmt.Errorf("FSCTL_QUERY_USN_JOURNAL: %w", err)
	}
	return b[:n], nil
}

// Read is FSCTL_READ_USN_JOURNAL with READ_USN_JOURNAL_DATA_V1.
func (j *Journal) Read(question, answer []byte) (int, error) {
	n, err := control(j.h, fsctlReadUSNJournal, question, answer)
	if err != nil {
		return 0, fmt.Errorf("FSCTL_READ_USN_JOURNAL: %w", err)
	}
	return n, nil
}

// Close lets go of the volume.
func (j *Journal) Close() error { return windows.CloseHandle(j.h) }
