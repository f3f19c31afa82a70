package evidence

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"hozen/internal/crashpoint"
	"hozen/internal/digest"
	"hozen/internal/durable"
)

// Files of an incoming folder. The prefix keeps names of ours apart from each other
// and from names that Windows reserves ("con").
const (
	partPrefix = "p-"
	growing    = ".part" // arriving
	ended      = ".full" // had its digest when it was ended
	sealFile   = "seal.json"
)

// writebackEvery is how many bytes gather before they are sent to the disk, so that
// the sync at the seal has little left to do.
const writebackEvery = 8 << 20

// proof is what the bytes of a whole part turned out to be.
type proof struct {
	stored digest.Digest
	size   int64
	plain  plain
	unread error // why it can't be decompressed, or nil
}

// partWriter takes the bytes of one part: file, digest and decompression side by
// side, each byte read once.
type partWriter struct {
	name    string
	f       *os.File
	path    string // of the growing file
	sum     hash.Hash
	size    int64
	flushed int64
	inflate *inflater
	resumed bool // some bytes were on disk before
	broken  bool // bytes were lost on their way to the disk, and reading shows the cache only
	step    func(name string, do func() error) error
}

func partPath(dir, name, state string) string {
	return filepath.Join(dir, partPrefix+path.Base(name)+state)
}

// openPart opens a part for writing at offset: 0 begins it anew; otherwise offset
// must be its size, and what is there is hashed again from the disk.
func openPart(dir, name string, offset int64, step func(string, func() error) error) (_ *partWriter, err error) {
	_, compression, err := ParsePartName(name)
	if err != nil {
		return nil, err
	}
	w := &partWriter{name: name, path: partPath(dir, name, growing), sum: sha256.New(), step: step}
	flags := os.O_RDWR | os.O_CREATE | os.O_TRUNC
	if full := partPath(dir, name, ended); offset == 0 {
		if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	} else {
		flags = os.O_RDWR
		if err := os.Rename(full, w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	w.f, err = os.OpenFile(w.path, flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: nothing of %s is there", ErrOffset, name)
	}
	if err != nil {
		return nil, err
	}
	w.inflate = newInflater(compression)
	defer func() {
		if err != nil {
			w.leave()
		}
	}()
	if offset == 0 {
		return w, nil
	}
	fi, err := w.f.Stat()
	if err != nil {
		return nil, err
	}
	if fi.Size() != offset {
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", ErrOffset, name, fi.Size(), offset)
	}
	w.resumed = true
	if err := w.readBack(); err != nil {
		return nil, err
	}
	if w.size != offset {
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", ErrOffset, name, w.size, offset)
	}
	w.flushed = w.size
	return w, nil
}

// readBack hashes what is on disk. Each buffer is handed to the inflater for good.
func (w *partWriter) readBack() error {
	for {
		buf := make([]byte, 256<<10)
		n, err := w.f.Read(buf)
		w.take(buf[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *partWriter) take(b []byte) {
	if len(b) == 0 {
		return
	}
	w.sum.Write(b)
	w.size += int64(len(b))
	w.inflate.feed(b)
}

// write appends b, which must not be changed afterwards. After an error the part
// holds what was written before, and can be gone on with unless it is broken.
func (w *partWriter) write(b []byte) error {
	return w.step(crashpoint.EvidencePartWritten, func() error {
		n, err := w.f.Write(b)
		w.take(b[:n])
		if w.size-w.flushed >= writebackEvery {
			if berr := durable.WriteBehind(w.f, w.flushed, w.size-w.flushed); berr != nil {
				w.broken = true
				err = errors.Join(err, berr)
			}
			w.flushed = w.size
		}
		return err
	})
}

// end closes the file and returns what it holds. The file is not marked as ended.
func (w *partWriter) end() (proof, error) {
	p := proof{stored: digest.Digest(w.sum.Sum(nil)), size: w.size}
	p.plain, p.unread = w.inflate.finish()
	w.inflate = nil
	return p, w.f.Close()
}

// leave closes the file as it is, to be gone on with another time.
func (w *partWriter) leave() {
	if w.inflate != nil {
		_, _ = w.inflate.finish() // of a part that is not whole: nothing to learn
		_ = w.f.Close()           // nothing relies on these bytes before they are hashed again
		w.inflate = nil
	}
}

// reproof learns from the disk what an ended part holds.
func reproof(dir, name string) (proof, error) {
	_, compression, err := ParsePartName(name)
	if err != nil {
		return proof{}, err
	}
	f, err := os.Open(partPath(dir, name, ended))
	if err != nil {
		return proof{}, err
	}
	w := &partWriter{name: name, f: f, sum: sha256.New(), inflate: newInflater(compression)}
	if err := w.readBack(); err != nil {
		w.leave()
		return proof{}, err
	}
	return w.end()
}
