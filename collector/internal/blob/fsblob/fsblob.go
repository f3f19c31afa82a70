// Package fsblob keeps blobs as files: sha256/ab/abcdef…, mode 0444, so that
// `sha256sum` on a file prints the file's name. It knows nothing of what they mean.
package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"hozen/collector/internal/blob"
	"hozen/internal/digest"
	"hozen/internal/durable"
)

const tempPattern = ".tmp-*"

// leftAfter is the age from which a file that nobody writes to any more is taken for
// one that a crash left.
const leftAfter = time.Hour

// Store is a [blob.Store] in a folder.
type Store struct {
	dir string // …/sha256
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in the folder dir, which is made when it is not there, and
// removes what a crash left half-written. Files for [Store.Adopt] must be on the
// same file system.
func Open(dir string) (*Store, error) {
	s := &Store{dir: filepath.Join(dir, "sha256")}
	if err := durable.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(s.dir, tempPattern))
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	for _, path := range left {
		fi, err := os.Lstat(path)
		if err == nil && time.Since(fi.ModTime()) < leftAfter {
			continue // perhaps of a collector that is running while somebody looks at its store
		}
		if err == nil {
			err = os.Remove(path)
		}
		if ignoreMissing(err) != nil {
			return nil, fmt.Errorf("open blob store: %w", err)
		}
	}
	return s, nil
}

func (s *Store) path(d digest.Digest) string {
	name := d.String()
	return filepath.Join(s.dir, name[:2], name)
}

// Put implements [blob.Store].
func (s *Store) Put(ctx context.Context, d digest.Digest, size int64, r io.Reader) (err error) {
	f, err := os.CreateTemp(s.dir, tempPattern)
	if err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("store blob %s: %w", d, err), ignoreMissing(os.Remove(f.Name())))
		}
	}()
	w := digest.NewWriter(f)
	// One byte more than announced is enough to know that it is too much.
	_, err = io.Copy(w, io.LimitReader(contextReader{ctx, r}, size+1))
	if err == nil && (w.Sum() != d || w.Size() != size) {
		err = fmt.Errorf("%w: %d bytes with %s", blob.ErrMismatch, w.Size(), w.Sum())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return s.place(d, size, f.Name())
}

// Adopt implements [blob.Store].
func (s *Store) Adopt(_ context.Context, d digest.Digest, size int64, path string) error {
	if err := s.place(d, size, path); err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	return nil
}

// place gives a closed file of proven bytes its final name. A crash before the
// rename leaves the file where it was; after it, the blob is whole.
func (s *Store) place(d digest.Digest, size int64, from string) error {
	if err := sync(from, size); err != nil {
		return err
	}
	to := s.path(d)
	if err := durable.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	err := durable.RenameNew(from, to)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	// It is there already. Being named by a digest is not having it.
	f, err := os.Open(to)
	if err != nil {
		return err
	}
	have, n, err := digest.OfReader(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if have != d || n != size {
		return fmt.Errorf("%w: %s holds %d bytes with %s", blob.ErrCorrupt, to, n, have)
	}
	// The one that placed it may have been killed before the folder was synced.
	if err := durable.SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	return durable.Remove(from)
}

// sync makes a file durable and read-only.
func sync(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err == nil && fi.Size() != size {
		err = fmt.Errorf("%w: the file has %d bytes, not %d", blob.ErrMismatch, fi.Size(), size)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Chmod(0o444)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Open implements [blob.Store].
func (s *Store) Open(_ context.Context, d digest.Digest) (io.ReadSeekCloser, error) {
	f, err := os.Open(s.path(d))
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, notFound(err))
	}
	return f, nil
}

// Stat implements [blob.Store].
func (s *Store) Stat(_ context.Context, d digest.Digest) (blob.Info, error) {
	fi, err := os.Lstat(s.path(d))
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat blob %s: %w", d, notFound(err))
	}
	if !fi.Mode().IsRegular() {
		return blob.Info{}, fmt.Errorf("stat blob %s: %w: not a regular file", d, blob.ErrCorrupt)
	}
	return blob.Info{Digest: d, Size: fi.Size()}, nil
}

// List implements [blob.Store].
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		// os.ReadDir sorts by name, and that is the order of the digests.
		folders, err := os.ReadDir(s.dir)
		if err != nil {
			yield(blob.Info{}, fmt.Errorf("list blobs: %w", err))
			return
		}
		for _, folder := range folders {
			if durable.IsTemp(folder.Name()) {
				continue // being written at this moment
			}
			files, err := os.ReadDir(filepath.Join(s.dir, folder.Name()))
			if err != nil {
				if !yield(blob.Info{}, fmt.Errorf("list blobs: %w", err)) {
					return
				}
				continue
			}
			for _, file := range files {
				if err := ctx.Err(); err != nil {
					yield(blob.Info{}, fmt.Errorf("list blobs: %w", err))
					return
				}
				if !yield(s.info(folder.Name(), file)) {
					return
				}
			}
		}
	}
}

func (s *Store) info(folder string, file fs.DirEntry) (blob.Info, error) {
	d, err := digest.Parse(file.Name())
	if err != nil || file.Name()[:2] != folder || !file.Type().IsRegular() {
		return blob.Info{}, fmt.Errorf("list blobs: %q is no blob", filepath.Join("sha256", folder, file.Name()))
	}
	fi, err := file.Info()
	if err != nil {
		return blob.Info{}, fmt.Errorf("list blobs: %w", err)
	}
	return blob.Info{Digest: d, Size: fi.Size()}, nil
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return blob.ErrNotFound
	}
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// contextReader ends reading when nobody waits for the result any more.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
