// Package transfer keeps files that people send in pieces until they are whole, hashing every
// byte as it arrives. It knows nothing of incidents, HTTP, the database or who may send.
package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hozen/collector/internal/blob"
	"hozen/internal/digest"
	"hozen/internal/durable"
	"hozen/internal/id"
)

// The errors that callers act on.
var (
	// ErrNoSpace means that the disk has no more room than what must stay free.
	ErrNoSpace = errors.New("no room for the file")
	// ErrTooLarge means that more came than was announced.
	ErrTooLarge = errors.New("more bytes came than were announced")
	// ErrGone means that nothing of the file is there.
	ErrGone = errors.New("nothing of the file is there")
	// ErrBusy means that the file is lent already.
	ErrBusy = errors.New("the file is being read")
)

// OffsetError means that a piece does not go on where the file ends.
type OffsetError struct {
	Have int64 // bytes that are there
}

func (e *OffsetError) Error() string { return fmt.Sprintf("the file has %d bytes", e.Have) }

// Config says where files lie while they arrive.
type Config struct {
	// Dir is the folder, on the disk of the blobs. It is made when it is not there. Required.
	Dir string
	// Vault encrypts what lies there. Optional: without it files lie there in the clear.
	Vault blob.Vault
	// MinFree is how many bytes stay free on the disk. Optional.
	MinFree int64
	// MaxOpen is how many files are held open between pieces; of others the beginning is read
	// again when they go on. Optional; default 16.
	MaxOpen int
	// Free tells how many bytes are free on the disk of a folder. Optional; default [durable.Free].
	Free func(dir string) (uint64, error)
}

// Folder is the folder of arriving files. It is safe for concurrent use.
type Folder struct {
	cfg Config

	mu   sync.Mutex
	open map[string]*part
	lent map[string]bool
	turn int64
}

// part is one arriving file.
type part struct {
	lock   chan struct{} // held while it is worked on
	users  int           // who hold or wait for it
	last   int64         // turn of the last use
	f      *os.File      // nil: not open
	sealed io.WriteCloser
	sum    hash.Hash
	size   int64
	known  atomic.Int64 // size for those who do not wait, plus one; 0: not known
}

const suffix = ".part"

// checkEvery is how many bytes arrive between two looks at the room on the disk.
const checkEvery = 8 << 20

// lookAgain is how often it is looked whether a file's size is known by now.
const lookAgain = 50 * time.Millisecond

// Open opens the folder.
func Open(cfg Config) (*Folder, error) {
	if cfg.MaxOpen <= 0 {
		cfg.MaxOpen = 16
	}
	if cfg.Free == nil {
		cfg.Free = durable.Free
	}
	if err := durable.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the folder of uploads: %w", err)
	}
	return &Folder{cfg: cfg, open: map[string]*part{}, lent: map[string]bool{}}, nil
}

// path is where a file lies. Identifiers are checked, so no name leads elsewhere.
func (f *Folder) path(name string) (string, error) {
	if err := id.Check(id.Upload, name); err != nil {
		return "", err
	}
	return filepath.Join(f.cfg.Dir, name+suffix), nil
}

// take locks a file; give unlocks it.
func (f *Folder) take(ctx context.Context, name string) (*part, error) {
	f.mu.Lock()
	p := f.open[name]
	if p == nil {
		p = &part{lock: make(chan struct{}, 1)}
		f.open[name] = p
	}
	p.users++
	f.turn++
	p.last = f.turn
	f.mu.Unlock()
	select {
	case p.lock <- struct{}{}:
		return p, nil
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		p.users--
		return nil, fmt.Errorf("wait for another piece of %s: %w", name, ctx.Err())
	}
}

func (f *Folder) give(name string, p *part) {
	<-p.lock
	f.mu.Lock()
	defer f.mu.Unlock()
	p.users--
	if p.users == 0 && p.f == nil { // with users, it is theirs to look at
		delete(f.open, name)
	}
	// The one that was not used for longest is closed; it is read again when it goes on.
	for len(f.open) > f.cfg.MaxOpen {
		oldest := ""
		for n, o := range f.open {
			if o.users == 0 && (oldest == "" || o.last < f.open[oldest].last) {
				oldest = n
			}
		}
		if oldest == "" {
			return
		}
		_ = f.open[oldest].close() // what was not written is missing when it goes on
		delete(f.open, oldest)
	}
}

// load opens the file and hashes what is there.
func (f *Folder) load(p *part, name string) (err error) {
	if p.f != nil {
		return nil
	}
	path, err := f.path(name)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open upload: %w", err)
	}
	p.f, p.sum, p.size, p.sealed = file, sha256.New(), 0, nil
	defer func() {
		if err != nil {
			_ = p.f.Close() // it was only read
			p.f = nil
		}
	}()
	had := func(b []byte) {
		p.sum.Write(b)
		p.size += int64(len(b))
	}
	fi, err := file.Stat()
	switch {
	case err != nil:
	case f.cfg.Vault == nil:
		_, err = io.Copy(writerFunc(had), file)
	case fi.Size() == 0:
		p.sealed, err = f.cfg.Vault.Begin(file)
	default:
		if p.sealed, err = f.cfg.Vault.Resume(file, had); errors.Is(err, blob.ErrCorrupt) {
			// Nothing of it can be trusted: it begins anew.
			p.sum, p.size = sha256.New(), 0
			if err = file.Truncate(0); err == nil {
				_, err = file.Seek(0, io.SeekStart)
			}
			if err == nil {
				p.sealed, err = f.cfg.Vault.Begin(file)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("read upload: %w", err)
	}
	p.known.Store(p.size + 1)
	return nil
}

type writerFunc func(b []byte)

func (w writerFunc) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func (p *part) close() error {
	if p.f == nil {
		return nil
	}
	p.known.Store(0)
	var err error
	if p.sealed != nil {
		err = p.sealed.Close()
	}
	err = errors.Join(err, p.f.Close())
	p.f, p.sealed = nil, nil
	return err
}

// write appends b. After an error the file is read again before it goes on.
func (p *part) write(b []byte) error {
	w := io.Writer(p.f)
	if p.sealed != nil {
		w = p.sealed
	}
	if _, err := w.Write(b); err != nil {
		return errors.Join(err, p.close())
	}
	p.sum.Write(b)
	p.size += int64(len(b))
	p.known.Store(p.size + 1)
	return nil
}

// Size returns how many bytes of a file are there. It does not wait for a piece that is
// arriving, which may take hours: those that came of it are counted.
func (f *Folder) Size(ctx context.Context, name string) (int64, error) {
	path, err := f.path(name)
	if err != nil {
		return 0, err
	}
	var p *part
	for p == nil {
		f.mu.Lock()
		if p := f.open[name]; p != nil {
			if n := p.known.Load(); n > 0 {
				f.mu.Unlock()
				return n - 1, nil
			}
		}
		f.mu.Unlock()
		// Whoever holds it may only be about to open it: then it is known soon.
		short, cancel := context.WithTimeout(ctx, lookAgain)
		p, err = f.take(short, name)
		cancel()
		if err != nil && ctx.Err() != nil {
			return 0, err
		}
	}
	defer f.give(name, p)
	if p.f == nil {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
	}
	if err := f.load(p, name); err != nil {
		return 0, err
	}
	return p.size, nil
}

// Append takes the next piece of a file, which begins at offset, or fails with an
// [OffsetError]. The whole file may have most bytes; negative: any number. What came before
// an error is kept; size says how many bytes are there then.
func (f *Folder) Append(ctx context.Context, name string, offset int64, r io.Reader, most int64) (size int64, err error) {
	p, err := f.take(ctx, name)
	if err != nil {
		return 0, err
	}
	defer f.give(name, p)
	if err := f.load(p, name); err != nil {
		return 0, err
	}
	if offset != p.size {
		return p.size, &OffsetError{p.size}
	}
	buf, unchecked := make([]byte, 256<<10), int64(checkEvery)
	for {
		if unchecked >= checkEvery {
			free, err := f.cfg.Free(f.cfg.Dir)
			if err != nil {
				return p.size, fmt.Errorf("look for room: %w", err)
			}
			if int64(min(free, 1<<62)) < f.cfg.MinFree+checkEvery {
				return p.size, ErrNoSpace
			}
			unchecked = 0
		}
		n, rerr := r.Read(buf)
		if most >= 0 && p.size+int64(n) > most {
			return p.size, ErrTooLarge
		}
		if n > 0 {
			if err := p.write(buf[:n]); err != nil {
				return p.size, fmt.Errorf("store upload: %w", err)
			}
			unchecked += int64(n)
		}
		switch {
		case errors.Is(rerr, io.EOF):
			return p.size, nil
		case rerr != nil:
			return p.size, fmt.Errorf("receive upload: %w", rerr)
		case ctx.Err() != nil:
			return p.size, ctx.Err()
		}
	}
}

// Finish ends a file and hands it to adopt, which takes it away: see [blob.Store.Adopt]. If
// adopt fails the file is still there.
func (f *Folder) Finish(ctx context.Context, name string, adopt func(d digest.Digest, size int64, path string) error) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	p, err := f.take(ctx, name)
	if err != nil {
		return err
	}
	defer f.give(name, p)
	if p.f == nil {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return ErrGone
		}
		if err := f.load(p, name); err != nil {
			return err
		}
	}
	d, size := digest.Digest(p.sum.Sum(nil)), p.size
	if err := p.close(); err != nil {
		return fmt.Errorf("store upload: %w", err)
	}
	p.known.Store(size + 1) // adopt may take long, and who asks for the size does not wait for it
	defer p.known.Store(0)
	return adopt(d, size, path)
}

// Lend ends a file and hands its bytes to use, for as long as that runs. The file stays, and
// more can be added to it. r fails where it is not as it was written. A file that is lent
// already is [ErrBusy].
func (f *Folder) Lend(ctx context.Context, name string, use func(r io.Reader, size int64) error) error {
	f.mu.Lock()
	if f.lent[name] {
		f.mu.Unlock()
		return ErrBusy
	}
	f.lent[name] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.lent, name)
	}()
	return f.Finish(ctx, name, func(_ digest.Digest, size int64, path string) error {
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("read upload: %w", err)
		}
		defer file.Close()
		var r io.Reader = file
		if f.cfg.Vault != nil && size > 0 {
			if r, err = f.cfg.Vault.Open(file); err != nil {
				return fmt.Errorf("read upload: %w", err)
			}
		}
		return use(r, size)
	})
}

// Lent reports whether a file is lent.
func (f *Folder) Lent(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lent[name]
}

// Drop removes what is there of a file.
func (f *Folder) Drop(ctx context.Context, name string) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	p, err := f.take(ctx, name)
	if err != nil {
		return err
	}
	defer f.give(name, p)
	_ = p.close() // it is thrown away
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove upload: %w", err)
	}
	return nil
}

// Untouched returns the files to which nothing was added since a moment.
func (f *Folder) Untouched(since time.Time) ([]string, error) {
	list, err := os.ReadDir(f.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	var names []string
	for _, e := range list {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		fi, err := e.Info()
		if ok && id.Check(id.Upload, name) == nil && err == nil && fi.ModTime().Before(since) {
			names = append(names, name)
		}
	}
	return names, nil
}
