package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"hozen/internal/durable"
)

// ErrNotEmpty is the error of a folder that already holds something.
var ErrNotEmpty = errors.New("folder is not empty")

// Folder takes one acquisition into a folder of its own, for a PC without collector.
// There is no quota, and what a crash interrupts stays unsealed.
type Folder struct {
	Dir string // made with mode 0700 when absent; must be empty
	// Wrap encrypts what is written; its Close ends the file. Optional. The parts keep size and
	// digest of what went in, and get Suffix after their names.
	Wrap   func(w io.Writer) (io.WriteCloser, error)
	Suffix string
	mu     sync.Mutex
}

// Begin starts the acquisition. The error wraps ErrNotEmpty when something lies there.
func (f *Folder) Begin(acquisitionID string, _ []byte) (*Acquisition, error) {
	if err := durable.MkdirAll(f.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("begin acquisition in a folder: %w", err)
	}
	list, err := os.ReadDir(f.Dir)
	if err != nil {
		return nil, fmt.Errorf("begin acquisition in a folder: %w", err)
	}
	if len(list) > 0 {
		return nil, fmt.Errorf("%q: %w", f.Dir, ErrNotEmpty)
	}
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return nil, fmt.Errorf("begin acquisition in a folder: %w", err)
	}
	if err := root.Mkdir(artifactDir, 0o700); err != nil {
		root.Close()
		return nil, fmt.Errorf("begin acquisition in a folder: %w", err)
	}
	e := &entry{id: acquisitionID, begunAt: time.Now().UTC()}
	return &Acquisition{host: f, mu: &f.mu, e: e, dir: f.Dir, root: root, bare: true, wrap: f.Wrap, suffix: f.Suffix}, nil
}

func (f *Folder) reserve(int64, bool) error { return nil }

// room implements host: a folder on a stick has no other use for its last bytes.
func (f *Folder) room(n int64) error {
	free, err := freeBytes(f.Dir)
	if err != nil || n <= free { // where it cannot be known, writing will tell
		return nil
	}
	return fmt.Errorf("%d bytes are free, %d are needed: %w", free, n, ErrNoRoom)
}

func (f *Folder) changedLocked()                       {}
func (f *Folder) step(_ string, do func() error) error { return do() }
