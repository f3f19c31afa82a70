// Package fsblob keeps blobs as files: sha256/ab/abcdef….age encrypted, or sha256/ab/abcdef…
// in the clear, mode 0444; the name is the SHA-256 of the clear bytes. It knows nothing of
// what they mean.
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
	"strings"
	"time"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/blob/atrest"
	"hozen/internal/digest"
	"hozen/internal/durable"
	"hozen/internal/envelope"
)

const tempPattern = ".tmp-*"

// leftAfter is the age from which a file that nobody writes to any more is taken for
// one that a crash left.
const leftAfter = time.Hour

// Store is a [blob.Store] in a folder.
type Store struct {
	dir   string       // …/sha256
	vault *atrest.Ring // nil: what is stored is stored in the clear
}

var _ blob.Store = (*Store)(nil)

// Open opens a store without keys in the folder dir, which is made when it is not there,
// and removes what a crash left half-written. It stores in the clear, and lists and copies
// what is encrypted, but does not read it. Files for [Store.Adopt] must be on the same file
// system.
func Open(dir string) (*Store, error) { return open(dir, nil) }

// OpenSealed opens a store that encrypts. What lies there in the clear stays readable.
func OpenSealed(dir string, keys *atrest.Ring) (*Store, error) { return open(dir, keys) }

func open(dir string, keys *atrest.Ring) (*Store, error) {
	s := &Store{dir: filepath.Join(dir, "sha256"), vault: keys}
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

func (s *Store) path(d digest.Digest, sealed bool) string {
	name := d.String()
	path := filepath.Join(s.dir, name[:2], name)
	if sealed {
		path += envelope.Suffix
	}
	return path
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
	err = s.fill(ctx, f, d, size, r)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return s.place(d, size, f.Name(), s.vault != nil)
}

// fill writes the bytes of a blob, as they are stored, and proves them on the way.
func (s *Store) fill(ctx context.Context, f *os.File, d digest.Digest, size int64, r io.Reader) error {
	var to io.WriteCloser = f
	if s.vault != nil {
		var err error
		if to, err = s.vault.Begin(f); err != nil {
			return err
		}
	}
	w := digest.NewWriter(to)
	// One byte more than announced is enough to know that it is too much.
	_, err := io.Copy(w, io.LimitReader(contextReader{ctx, r}, size+1))
	if err == nil && (w.Sum() != d || w.Size() != size) {
		err = fmt.Errorf("%w: %d bytes with %s", blob.ErrMismatch, w.Size(), w.Sum())
	}
	if s.vault != nil && err == nil {
		err = to.Close()
	}
	return err
}

// Adopt implements [blob.Store].
func (s *Store) Adopt(ctx context.Context, d digest.Digest, size int64, path string) error {
	sealed := false
	if s.vault != nil {
		fi, err := os.Lstat(path)
		if err != nil {
			return fmt.Errorf("store blob %s: %w", d, err)
		}
		if fi.Size() == size { // an encrypted one is longer
			return s.adoptClear(ctx, d, size, path)
		}
		sealed = true
	}
	if err := s.place(d, size, path, sealed); err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	return nil
}

// adoptClear encrypts a file that arrived before there was a key.
func (s *Store) adoptClear(ctx context.Context, d digest.Digest, size int64, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store blob %s: %w", d, err)
	}
	if err := errors.Join(s.Put(ctx, d, size, f), f.Close()); err != nil {
		return err
	}
	return durable.Remove(path)
}

// place gives a closed file of proven bytes its final name. A crash before the
// rename leaves the file where it was; after it, the blob is whole.
func (s *Store) place(d digest.Digest, size int64, from string, sealed bool) error {
	if err := sync(from, size, sealed); err != nil {
		return err
	}
	to := s.path(d, sealed)
	if err := durable.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if _, err := os.Lstat(s.path(d, !sealed)); errors.Is(err, fs.ErrNotExist) {
		if err := durable.RenameNew(from, to); !errors.Is(err, fs.ErrExist) {
			return err
		}
	} else if err != nil {
		return err
	}
	// It is there already. Being named by a digest is not having it.
	if err := s.prove(context.Background(), d, size); err != nil {
		return err
	}
	// The one that placed it may have been killed before the folder was synced.
	if err := durable.SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	return durable.Remove(from)
}

// prove reads a blob whole.
func (s *Store) prove(ctx context.Context, d digest.Digest, size int64) error {
	f, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	have, n, err := digest.OfReader(contextReader{ctx, f})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if have != d || n != size {
		return fmt.Errorf("%w: %s holds %d bytes with %s", blob.ErrCorrupt, d, n, have)
	}
	return nil
}

// sync makes a file durable and read-only. size is that of the clear bytes.
func sync(path string, size int64, sealed bool) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err == nil {
		n := fi.Size()
		if sealed {
			n = atrest.PayloadSize(n)
		}
		if n != size {
			err = fmt.Errorf("%w: the file has %d bytes, not %d", blob.ErrMismatch, n, size)
		}
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
	f, sealed, err := s.file(d)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, notFound(err))
	}
	if !sealed {
		return f, nil
	}
	r, err := s.unsealed(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open blob %s: %w", d, err), f.Close())
	}
	return r, nil
}

// Stat implements [blob.Store].
func (s *Store) Stat(_ context.Context, d digest.Digest) (blob.Info, error) {
	sealed := true
	fi, err := os.Lstat(s.path(d, sealed))
	if errors.Is(err, fs.ErrNotExist) {
		sealed = false
		fi, err = os.Lstat(s.path(d, sealed))
	}
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat blob %s: %w", d, notFound(err))
	}
	if !fi.Mode().IsRegular() {
		return blob.Info{}, fmt.Errorf("stat blob %s: %w: not a regular file", d, blob.ErrCorrupt)
	}
	return infoOf(d, fi, sealed), nil
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
			for n, file := range files {
				if err := ctx.Err(); err != nil {
					yield(blob.Info{}, fmt.Errorf("list blobs: %w", err))
					return
				}
				if twice(files, n) {
					continue // on its way from clear to encrypted; it comes next
				}
				if !yield(s.info(folder.Name(), file)) {
					return
				}
			}
		}
	}
}

func (s *Store) info(folder string, file fs.DirEntry) (blob.Info, error) {
	name, sealed := strings.CutSuffix(file.Name(), envelope.Suffix)
	d, err := digest.Parse(name)
	if err != nil || name[:2] != folder || !file.Type().IsRegular() {
		return blob.Info{}, fmt.Errorf("list blobs: %q is no blob", filepath.Join("sha256", folder, file.Name()))
	}
	fi, err := file.Info()
	if err != nil {
		return blob.Info{}, fmt.Errorf("list blobs: %w", err)
	}
	return infoOf(d, fi, sealed), nil
}

// infoOf describes a file. One that is too short to be encrypted has no bytes: reading it
// tells what is wrong.
func infoOf(d digest.Digest, fi fs.FileInfo, sealed bool) blob.Info {
	if sealed {
		return blob.Info{Digest: d, Size: max(0, atrest.PayloadSize(fi.Size())), Sealed: true}
	}
	return blob.Info{Digest: d, Size: fi.Size()}
}

// twice reports whether the n-th of files, which are in order, is followed by the same blob
// encrypted.
func twice(files []fs.DirEntry, n int) bool {
	return n+1 < len(files) && files[n+1].Name() == files[n].Name()+envelope.Suffix
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
