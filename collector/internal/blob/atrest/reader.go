package atrest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"hozen/collector/internal/blob"
	"hozen/internal/envelope/unseal"
)

// reader reads the clear bytes of a file: fast from the beginning to the end, and in pieces
// of 64 KiB after a jump.
type reader struct {
	f    *os.File
	with []unseal.Identity
	size int64 // clear bytes
	pos  int64 // where the next Read begins
	from io.Reader
	at   int64 // where from stands; meaningless without it
}

// OpenFile opens an ended file for reading and closes f with it. Reading it to its end
// proves that it is as it was written; jumping proves only the pieces that are read.
func (r *Ring) OpenFile(f *os.File) (io.ReadSeekCloser, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := payloadSize(fi.Size())
	if size < 0 {
		return nil, corrupt(unseal.ErrDamaged)
	}
	out := &reader{f: f, with: r.ids, size: size}
	// At once, so that a key that does not fit is told here.
	if out.from, err = unseal.Open(f, r.ids...); err != nil {
		return nil, corrupt(err)
	}
	return out, nil
}

// corrupt says of a file that does not open that it is not what was stored.
func corrupt(err error) error {
	if errors.Is(err, unseal.ErrDamaged) || errors.Is(err, unseal.ErrOtherKey) {
		return fmt.Errorf("%w: %w", blob.ErrCorrupt, err)
	}
	return err
}

// proven reads a file that may have been changed.
type proven struct{ r io.Reader }

// Read implements [io.Reader].
func (p proven) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	return n, corrupt(err)
}

// Read implements [io.Reader].
func (r *reader) Read(p []byte) (int, error) {
	if r.from == nil || r.at != r.pos {
		if err := r.stand(); err != nil {
			return 0, corrupt(err)
		}
	}
	n, err := r.from.Read(p)
	r.pos, r.at = r.pos+int64(n), r.at+int64(n)
	return n, corrupt(err)
}

// stand makes from stand at pos.
func (r *reader) stand() error {
	if r.pos == 0 {
		if _, err := r.f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		var err error
		r.from, err = unseal.Open(r.f, r.with...)
		r.at = 0
		return err
	}
	fi, err := r.f.Stat()
	if err != nil {
		return err
	}
	clear, size, err := unseal.OpenAt(r.f, fi.Size(), r.with...)
	if err != nil {
		return err
	}
	if r.pos > size {
		r.pos = size
	}
	r.from = bufio.NewReaderSize(io.NewSectionReader(clear, r.pos, size-r.pos), chunkSize)
	r.at = r.pos
	return nil
}

// Seek implements [io.Seeker].
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.size
	case io.SeekStart:
	default:
		return 0, fmt.Errorf("seek: %w", fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek before the beginning: %w", fs.ErrInvalid)
	}
	r.pos = offset
	return offset, nil
}

// Close closes the file.
func (r *reader) Close() error {
	if err := r.f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
