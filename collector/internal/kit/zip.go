package kit

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrTooMany means that a zip has, or says that it has, more files than are taken.
var ErrTooMany = fmt.Errorf("it has more than %d files", maxNames)

// maxDirectory bounds the bytes that are read of a zip to learn what is in it. A name with what
// stands beside it has some 150.
const maxDirectory = 4 << 20

// OpenZip opens the zip of a stick, which anybody may have made. How many files it says that it
// has is looked at before room is made for so many, and what it has without saying so is read
// no further than maxDirectory. The error wraps [ErrTooMany] then.
func OpenZip(r io.ReaderAt, size int64) (*zip.Reader, error) {
	n, err := announced(r, size)
	if err != nil {
		return nil, fmt.Errorf("open zip: %w", err)
	}
	if n > maxNames {
		return nil, fmt.Errorf("open zip: %w: it says %d", ErrTooMany, n)
	}
	looking := &frugal{r: r, left: maxDirectory}
	z, err := zip.NewReader(looking, size)
	if err != nil {
		return nil, fmt.Errorf("open zip: %w", err)
	}
	if len(z.File) > maxNames {
		return nil, fmt.Errorf("open zip: %w", ErrTooMany)
	}
	looking.whole = true
	return z, nil
}

// frugal reads so many bytes and no more, until the whole may be read.
type frugal struct {
	r     io.ReaderAt
	left  int64
	whole bool
}

func (f *frugal) ReadAt(p []byte, off int64) (int, error) {
	if !f.whole {
		if f.left -= int64(len(p)); f.left < 0 {
			return 0, ErrTooMany
		}
	}
	return f.r.ReadAt(p, off)
}

// Ends of zips (APPNOTE.TXT 6.3.10, 4.3.14 to 4.3.16).
const (
	endLength   = 22
	end64Length = 56
	locator64   = 20
	maxComment  = 1<<16 - 1
)

// announced reads how many files the end of a zip says that it has: the end that package
// archive/zip finds, the last one whose comment fits.
func announced(r io.ReaderAt, size int64) (uint64, error) {
	tail := make([]byte, min(size, endLength+maxComment))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	at := bytes.LastIndex(tail[:max(0, len(tail)-endLength+4)], []byte("PK\x05\x06"))
	if at < 0 {
		return 0, zip.ErrFormat
	}
	le := binary.LittleEndian
	n := uint64(le.Uint16(tail[at+10:]))
	loc := make([]byte, locator64)
	before := size - int64(len(tail)) + int64(at) - locator64
	if before < 0 {
		return n, nil
	}
	if _, err := r.ReadAt(loc, before); err != nil {
		return 0, err
	}
	if !bytes.HasPrefix(loc, []byte("PK\x06\x07")) {
		return n, nil
	}
	end := make([]byte, end64Length)
	if where := le.Uint64(loc[8:]); where < uint64(size) {
		if _, err := r.ReadAt(end, int64(where)); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
	}
	if bytes.HasPrefix(end, []byte("PK\x06\x06")) {
		n = max(n, le.Uint64(end[32:])) // whichever of them counts
	}
	return n, nil
}
