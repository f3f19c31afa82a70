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

	"hozen/collector/internal/blob"
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
	vault   blob.Vault
	sealed  io.WriteCloser // encrypts into f; nil without a vault
	sum     hash.Hash
	size    int64
	flushed int64 // bytes of f
	inflate *inflater
	resumed bool // some bytes were on disk before
	broken  bool // bytes were lost on their way to the disk, and reading shows the cache only
	step    func(name string, do func() error) error
}

func partPath(dir, name, state string) string {
	return filepath.Join(dir, partPrefix+path.Base(name)+state)
}

// openPart opens a part for writing at offset: 0 begins it anew; otherwise offset
// must be its size, and what is there is hashed again from the disk. in opens what arrives;
// nil for what comes in the clear.
func openPart(v blob.Vault, in blob.Inflow, dir, name string, offset int64, step func(string, func() error) error) (_ *partWriter, err error) {
	_, compression, err := ParsePartName(name)
	if err != nil {
		return nil, err
	}
	w := &partWriter{name: name, path: partPath(dir, name, growing), vault: v, sum: sha256.New(), step: step}
	whole := false
	flags := os.O_RDWR | os.O_CREATE | os.O_TRUNC
	if full := partPath(dir, name, ended); offset == 0 {
		if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	} else {
		flags = os.O_RDWR
		err := os.Rename(full, w.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		whole = err == nil
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
		return w, w.begin(v, in, false)
	}
	fi, err := w.f.Stat()
	if err != nil {
		return nil, err
	}
	if n := partSize(v, fi.Size(), whole); n != offset {
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", ErrOffset, name, n, offset)
	}
	w.resumed = true
	if err := w.begin(v, nil, true); err != nil {
		return nil, err
	}
	if w.size != offset {
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", ErrOffset, name, w.size, offset)
	}
	w.flushed, err = w.f.Seek(0, io.SeekCurrent)
	return w, err
}

// readBack hashes what is on disk. Each buffer is handed to the inflater for good.
func (w *partWriter) readBack(r io.Reader) error {
	for {
		buf := make([]byte, 256<<10)
		n, err := r.Read(buf)
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

// write appends b, which must not be changed before [Held] others are written. After an error the part
// holds what was written before, and can be gone on with unless it is broken.
func (w *partWriter) write(b []byte) error {
	return w.step(crashpoint.EvidencePartWritten, func() error {
		if w.sealed != nil {
			return errors.Join(w.seal(b), w.writeback())
		}
		n, err := w.f.Write(b)
		w.take(b[:n])
		return errors.Join(err, w.writeback())
	})
}

// seal hashes, decompresses and encrypts b side by side. After an error nothing of the hash
// is used any more.
func (w *partWriter) seal(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	w.inflate.feed(b)
	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		w.sum.Write(b)
	}()
	n, err := w.sealed.Write(b)
	<-hashed
	w.size += int64(n)
	return err
}

// writeback sends to the disk what gathered.
func (w *partWriter) writeback() error {
	if w.sealed == nil && w.size-w.flushed < writebackEvery {
		return nil
	}
	at, err := w.f.Seek(0, io.SeekCurrent)
	if err != nil || at-w.flushed < writebackEvery {
		return err
	}
	if err = durable.WriteBehind(w.f, w.flushed, at-w.flushed); err != nil {
		w.broken = true
	}
	w.flushed = at
	return err
}

// end closes the file and returns what it holds. The file is not marked as ended.
func (w *partWriter) end() (proof, error) {
	var err error
	if w.sealed != nil {
		err = w.sealed.Close()
	}
	p := proof{stored: digest.Digest(w.sum.Sum(nil)), size: w.size}
	p.plain, p.unread = w.inflate.finish()
	w.inflate = nil
	return p, errors.Join(err, w.f.Close())
}

// leave closes the file as it is, to be gone on with another time after the bytes that it
// returns the number of.
func (w *partWriter) leave() (kept int64) {
	kept = w.size
	if w.inflate != nil {
		if w.sealed != nil {
			_ = w.sealed.Close() // writes what waits to be encrypted; as below
			kept = 0
			if fi, err := w.f.Stat(); err == nil {
				kept = partSize(w.vault, fi.Size(), false)
			}
		}
		_, _ = w.inflate.finish() // of a part that is not whole: nothing to learn
		_ = w.f.Close()           // nothing relies on these bytes before they are hashed again
		w.inflate = nil
	}
	return kept
}

// reproof learns from the disk what an ended part holds. One that was changed there holds
// nothing.
func reproof(v blob.Vault, dir, name string) (proof, error) {
	_, compression, err := ParsePartName(name)
	if err != nil {
		return proof{}, err
	}
	f, err := os.Open(partPath(dir, name, ended))
	if err != nil {
		return proof{}, err
	}
	w := &partWriter{name: name, f: f, sum: sha256.New(), inflate: newInflater(compression)}
	var r io.Reader = f
	if v != nil {
		r, err = v.Open(f)
	}
	if err == nil {
		err = w.readBack(r)
	}
	if err != nil {
		w.leave()
		if errors.Is(err, blob.ErrCorrupt) {
			return proof{}, nil
		}
		return proof{}, err
	}
	return w.end()
}
