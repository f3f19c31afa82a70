package spool

import (
	"errors"
	"fmt"
	"io"
	"os"

	"hozen/internal/digest"
)

// PartInfo describes one part.
type PartInfo struct {
	Name     string
	Size     int64 // bytes that were written
	Complete bool
	SHA256   digest.Digest // of what was written; set when Complete
	// Sealed says that the part lies encrypted in a file that has File bytes now; the others
	// lie as they were written.
	Sealed bool
	File   int64
}

func describe(parts []*part) []PartInfo {
	list := make([]PartInfo, 0, len(parts))
	for _, p := range parts {
		if !p.gone {
			list = append(list, PartInfo{Name: p.name, Size: p.size, Complete: p.complete, SHA256: p.sum, Sealed: p.sealed, File: p.file})
		}
	}
	return list
}

// Reader reads one acquisition, also while it is being written. It serves one reader.
type Reader struct {
	s    *Spool
	e    *entry
	root *os.Root
}

// Open opens an acquisition for reading. The error wraps ErrUnknown when it is not in
// the spool.
func (s *Spool) Open(acquisitionID string) (*Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[acquisitionID]
	if e == nil {
		return nil, fmt.Errorf("open %.60q: %w", acquisitionID, ErrUnknown)
	}
	root, err := s.root.OpenRoot(acquisitionID)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", acquisitionID, err)
	}
	return &Reader{s: s, e: e, root: root}, nil
}

// HandOver notes that the acquisition goes to a collector that has got the keys told so far;
// see [Spool.OfferAgain].
func (r *Reader) HandOver() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.e.state != Refused {
		r.e.offered = r.s.keys
	}
}

// Close lets go of the acquisition.
func (r *Reader) Close() error { return r.root.Close() }

// Info describes the acquisition as it is now. One that its writer has given up is
// interrupted for this reader for good: whoever wants what comes of it opens it anew.
func (r *Reader) Info() Info {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	i := r.e.info()
	if i.State == Live && r.s.entries[r.e.id] != r.e {
		i.State = Interrupted
	}
	return i
}

// Parts describes the parts as they are now, in order of creation; parts that were
// given up are left out. Digests that are not known, because another process wrote the
// part, are computed from the bytes on disk.
func (r *Reader) Parts() ([]PartInfo, error) {
	r.s.mu.Lock()
	list := describe(r.e.parts)
	r.s.mu.Unlock()
	for i, p := range list {
		if !p.Complete || !p.SHA256.IsZero() {
			continue
		}
		sum, err := r.sum(p.Name)
		if err != nil {
			return nil, fmt.Errorf("read part %s: %w", p.Name, err)
		}
		list[i].SHA256 = sum
		r.s.mu.Lock()
		r.e.find(p.Name).sum = sum
		r.s.mu.Unlock()
	}
	return list, nil
}

func (r *Reader) sum(name string) (digest.Digest, error) {
	f, _, err := openRegular(r.root, name)
	if err != nil {
		return digest.Digest{}, err
	}
	defer f.Close()
	d, _, err := digest.OfReader(f)
	return d, err
}

func (e *entry) find(name string) *part {
	for _, p := range e.parts {
		if p.name == name {
			return p
		}
	}
	return nil
}

// ReadAt reads bytes of a part's file that have been written so far: of a sealed part those
// that are encrypted. It returns io.EOF at the present end, which may move, an error wrapping
// ErrGone when the part was given up or the acquisition dropped, and one wrapping
// io.ErrUnexpectedEOF where the file ends before what was written to it, or is not there any
// more.
func (r *Reader) ReadAt(name string, b []byte, off int64) (int, error) {
	r.s.mu.Lock()
	p := r.e.find(name)
	var f *os.File
	var size int64
	err := ErrGone
	whole := false
	if p != nil && !p.gone {
		whole = p.complete && r.s.entries[r.e.id] == r.e
		// Opened under the mutex, because closing a part changes its name on disk.
		f, _, err = openRegular(r.root, p.onDisk)
		if size = p.size; p.sealed {
			size = p.file
		}
	}
	r.s.mu.Unlock()
	if errors.Is(err, os.ErrNotExist) {
		if err = ErrGone; whole { // nobody here took it away
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil {
		return 0, fmt.Errorf("read part %.100q: %w", name, err)
	}
	defer f.Close()
	if off >= size {
		return 0, io.EOF
	}
	n, err := f.ReadAt(b[:min(int64(len(b)), size-off)], off)
	if errors.Is(err, io.EOF) { // the file is shorter than what was written to it
		return n, fmt.Errorf("read part %s: %w", name, io.ErrUnexpectedEOF)
	}
	return n, err
}

// Seal returns what ends the acquisition, and false while it is not sealed.
func (r *Reader) Seal() (Seal, bool, error) {
	if st := r.Info().State; st == Live || st == Interrupted {
		return Seal{}, false, nil
	}
	s, err := readSealed(r.root)
	return s, err == nil, err
}

// Receipt returns the collector's receipt, or an error wrapping fs.ErrNotExist.
func (r *Reader) Receipt() ([]byte, error) { return readFile(r.root, receiptFile, maxReceipt) }
