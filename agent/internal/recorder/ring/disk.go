package ring

import (
	"log/slog"
	"os"
)

// file is a segment that is written to.
type file interface {
	WriteAt(b []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error // of the bytes and of what is needed to find them
	Close() error
}

// disk opens segments for writing. Tests fail at each of its calls.
type disk interface {
	// Create makes a file of which all size bytes are taken from the file system, where
	// the system can do that. It fails when there is one.
	Create(path string, size int64) (file, error)
	Open(path string) (file, error)
}

type osDisk struct{}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return datasync(f.File) }

func (osDisk) Create(path string, size int64) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := preallocate(f, size); err != nil {
		f.Close()
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Open(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// zero overwrites the bytes from one offset up to another.
func zero(f file, from, to int64) error {
	b := make([]byte, min(64<<10, max(to-from, 0)))
	for from < to {
		n, err := f.WriteAt(b[:min(int64(len(b)), to-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

func errAttr(err error) slog.Attr { return slog.Any("error", err) }
