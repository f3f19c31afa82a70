package isolate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"hozen/internal/durable"
)

// Store keeps the last order across restarts.
type Store interface {
	// Load returns the last order. The error is ErrNoRecord when there never was one,
	// wraps ErrRecordLost when isolation was ordered but the record of it is missing,
	// damaged or older than the order, and is another error when the record cannot be
	// read and nothing shows that isolation was ordered.
	Load() (Record, error)
	// Save replaces the record, durably: after nil a power cut does not undo it. After
	// an error either record may be found by Load, or ErrRecordLost if only one of the
	// two says isolated.
	Save(Record) error
}

// Errors of a Store.
var (
	ErrNoRecord   = errors.New("no isolation was ever ordered")
	ErrRecordLost = errors.New("record of an ordered isolation is lost")
	// ErrReadOnly is what Save returns in a process that leaves the record to another one.
	ErrReadOnly = errors.New("this process leaves the record of isolation to another one")
)

// FileStoreConfig says where a FileStore keeps its files.
type FileStoreConfig struct {
	// Dir is an existing directory that only the agent can write.
	Dir string
	// Key authenticates the files, at least 32 bytes, the same after every restart. A
	// lost key counts as lost files.
	Key []byte
}

// FileStore keeps the order in two files: isolation.record, and isolation.marker,
// which exists while isolation is ordered, so that losing the first does not open the
// endpoint. Both are written whole or not at all. It is for one process and one
// caller at a time.
type FileStore struct {
	dir string
	key []byte
	seq uint64 // the highest sequence seen
	// closed: both files say isolated.
	closed bool
	// Tests put their failures here.
	write  func(path string, data []byte, mode fs.FileMode) error
	remove func(path string) error
}

// NewFileStore returns a store; it touches no file.
func NewFileStore(c FileStoreConfig) (*FileStore, error) {
	if len(c.Key) < 32 {
		return nil, fmt.Errorf("open isolation store: key has %d bytes, needs at least 32", len(c.Key))
	}
	if c.Dir == "" {
		return nil, errors.New("open isolation store: no directory given")
	}
	return &FileStore{dir: c.Dir, key: c.Key, write: durable.WriteFile, remove: durable.Remove}, nil
}

func (s *FileStore) record() string { return filepath.Join(s.dir, "isolation.record") }
func (s *FileStore) marker() string { return filepath.Join(s.dir, "isolation.marker") }

// Load implements [Store].
func (s *FileStore) Load() (Record, error) {
	s.closed = false
	raw, rawErr := readFile(s.record())
	mark, markErr := readFile(s.marker())
	var seq uint64
	var rec Record
	if rawErr == nil {
		seq, rec, rawErr = decodeRecord(s.key, raw)
		s.seq = max(s.seq, seq)
	}
	if errors.Is(markErr, os.ErrNotExist) {
		switch {
		case rawErr == nil:
			return rec, nil
		case errors.Is(rawErr, os.ErrNotExist):
			return Record{}, ErrNoRecord
		}
		return Record{}, fmt.Errorf("read isolation record: %w", rawErr)
	}
	// There is a marker, readable or not: isolation was ordered, and only a record that
	// is at least as new may say otherwise.
	var markSeq uint64
	if markErr == nil {
		markSeq, _, markErr = unseal(s.key, markerMagic, mark)
		s.seq = max(s.seq, markSeq)
	}
	if err := errors.Join(rawErr, markErr); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecordLost, err)
	}
	if seq < markSeq {
		return Record{}, fmt.Errorf("%w: record %d is older than order %d", ErrRecordLost, seq, markSeq)
	}
	s.closed = rec.Desired == Isolated
	return rec, nil
}

// Save implements [Store].
func (s *FileStore) Save(r Record) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("save isolation record: %w", err)
	}
	if s.seq == 0 {
		// To learn how far the files have counted. Where they are lost any number will do,
		// for what is written below replaces them.
		_, _ = s.Load()
	}
	seq := s.seq + 1
	b, err := encodeRecord(s.key, seq, r)
	if err != nil {
		return err
	}
	closed := s.closed
	s.closed = false
	s.seq = seq // whatever happens below: a half-written order has used its number
	// The marker is there before the record says isolated, and goes after the record
	// says released: at every moment in between Load finds the endpoint closed, or the
	// newer record. Either of the two keeps it closed, so one is tried when the other
	// fails.
	if r.Desired == Isolated && closed {
		// The marker is there and as old as a record that says isolated; a newer record is
		// no reason for alarm. With the marker first a full disk would lose both, and with
		// them the release code.
		if err := s.write(s.record(), b, 0o600); err != nil {
			s.closed = true
			return wrap("save isolation record", err)
		}
		err := s.write(s.marker(), seal(s.key, markerMagic, seq, nil), 0o600)
		s.closed = err == nil
		return wrap("save isolation record", err)
	}
	if r.Desired == Isolated {
		err := errors.Join(
			s.write(s.marker(), seal(s.key, markerMagic, seq, nil), 0o600),
			s.write(s.record(), b, 0o600))
		s.closed = err == nil
		return wrap("save isolation record", err)
	}
	if err := s.write(s.record(), b, 0o600); err != nil {
		return wrap("save isolation record", err)
	}
	return wrap("remove isolation marker", s.remove(s.marker()))
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, recordMax+1))
}
