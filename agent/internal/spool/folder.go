package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	// In is the folder that holds Dir, for one that was in other hands: Dir is then made in it
	// anew, and nothing is written through a link. Optional.
	In *os.Root

	mu     sync.Mutex
	failed error // what first went wrong in writing a part
}

// Begin starts the acquisition. The error wraps ErrNotEmpty when something lies there.
func (f *Folder) Begin(acquisitionID string, _ []byte) (*Acquisition, error) {
	root, err := f.make()
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

// make makes the folder, or takes the empty one that is there.
func (f *Folder) make() (*os.Root, error) {
	if f.In != nil {
		name := filepath.Base(f.Dir)
		if err := f.In.Mkdir(name, 0o700); err != nil {
			return nil, err
		}
		if err := durable.SyncDir(filepath.Dir(f.Dir)); err != nil {
			return nil, err
		}
		return f.In.OpenRoot(name)
	}
	if err := durable.MkdirAll(f.Dir, 0o700); err != nil {
		return nil, err
	}
	list, err := os.ReadDir(f.Dir)
	if err != nil {
		return nil, err
	}
	if len(list) > 0 {
		return nil, fmt.Errorf("%q: %w", f.Dir, ErrNotEmpty)
	}
	return os.OpenRoot(f.Dir)
}

// Failed returns what first went wrong in writing a part, or that an image had no room;
// nil when nothing did.
func (f *Folder) Failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func (f *Folder) reserve(int64, bool) error { return nil }

// folderSpare is what an image leaves of a folder's volume: for the rest of the evidence,
// the manifest and its signature, without which the image is worth nothing.
const folderSpare = 64 << 20

// room implements host.
func (f *Folder) room(n int64) error {
	free, err := freeBytes(f.Dir)
	if err != nil || n <= free-folderSpare { // where it cannot be known, writing will tell
		return nil
	}
	err = fmt.Errorf("%d bytes are free, %d are needed: %w", free, n+folderSpare, ErrNoRoom)
	f.wrote(err)
	return err
}

// wrote notes what came of writing; called with the mutex held.
func (f *Folder) wrote(err error) { f.failed = cmp.Or(f.failed, err) }

func (f *Folder) behind(file *os.File, offset, n int64) error {
	return durable.WriteBehind(file, offset, n)
}

func (f *Folder) changedLocked()                       {}
func (f *Folder) step(_ string, do func() error) error { return do() }
