package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/blob/atrest"
	"hozen/internal/digest"
	"hozen/internal/durable"
)

// ErrNoKeys means that the store was opened without keys and the blob is encrypted.
var ErrNoKeys = errors.New("the blob is encrypted, and there is no key")

// Vault is what encrypts the store's files; nil when nothing does.
func (s *Store) Vault() blob.Vault {
	if s.vault == nil {
		return nil
	}
	return s.vault
}

// file opens the file of a blob as it lies there.
func (s *Store) file(d digest.Digest) (f *os.File, sealed bool, err error) {
	// While somebody encrypts the store, the clear file may go between the first look and the
	// second; the encrypted one was there before that.
	for _, sealed := range []bool{true, false, true} {
		f, err = os.Open(s.path(d, sealed))
		if !errors.Is(err, fs.ErrNotExist) {
			return f, sealed, err
		}
	}
	return nil, false, err
}

// unsealed reads an encrypted file, and closes it with what is returned.
func (s *Store) unsealed(f *os.File) (io.ReadSeekCloser, error) {
	if s.vault == nil {
		return nil, ErrNoKeys
	}
	return s.vault.OpenFile(f)
}

// Encrypted says what [Store.Encrypt] did.
type Encrypted struct {
	Blobs   int   // encrypted now
	Bytes   int64 // of those
	Before  int   // encrypted to the newest key before
	Corrupt []digest.Digest
}

// Encrypt encrypts what lies there in the clear or encrypted to an older key, each blob
// proven before and after. It may be interrupted anywhere and called again, and others may
// read and store meanwhile. A blob that does not have its digest stays as it is, and is named
// in the result. The bytes of removed clear files stay on the disk until they are overwritten.
func (s *Store) Encrypt(ctx context.Context, progress func(done int)) (Encrypted, error) {
	var r Encrypted
	if s.vault == nil {
		return r, atrest.ErrNoKeys
	}
	n := 0
	for info, err := range s.List(ctx) {
		if err != nil {
			return r, err
		}
		err := s.encrypt(ctx, info, &r)
		switch {
		case errors.Is(err, blob.ErrCorrupt):
			r.Corrupt = append(r.Corrupt, info.Digest)
		case err != nil:
			return r, fmt.Errorf("encrypt blob %s: %w", info.Digest, err)
		}
		if n++; progress != nil {
			progress(n)
		}
	}
	return r, nil
}

func (s *Store) encrypt(ctx context.Context, info blob.Info, r *Encrypted) (err error) {
	d := info.Digest
	if info.Sealed {
		current, err := s.current(d)
		if err != nil {
			return err
		}
		if current {
			r.Before++
			return s.removeClear(ctx, info)
		}
	}
	f, err := os.CreateTemp(s.dir, tempPattern)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreMissing(os.Remove(f.Name()))) }()
	if err := s.reseal(ctx, f, info); err != nil {
		return err
	}
	if info.Sealed {
		err = replace(f.Name(), s.path(d, true))
	} else {
		err = durable.RenameNew(f.Name(), s.path(d, true))
	}
	if err != nil {
		return err
	}
	r.Blobs, r.Bytes = r.Blobs+1, r.Bytes+info.Size
	return s.removeClear(ctx, info)
}

// current reports whether a blob is encrypted to the newest key.
func (s *Store) current(d digest.Digest) (bool, error) {
	f, err := os.Open(s.path(d, true))
	if err != nil {
		return false, err
	}
	ok, err := s.vault.Current(f)
	return ok, errors.Join(err, f.Close())
}

// reseal writes a blob to f, encrypted anew, and closes f. What f then holds is proven from
// the file: what it was made from is removed next.
func (s *Store) reseal(ctx context.Context, f *os.File, info blob.Info) error {
	from, err := s.Open(ctx, info.Digest)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	err = s.fill(ctx, f, info.Digest, info.Size, from)
	if errors.Is(err, blob.ErrMismatch) {
		err = fmt.Errorf("%w: %w", blob.ErrCorrupt, err)
	}
	if err := errors.Join(err, from.Close(), f.Close()); err != nil {
		return err
	}
	if err := sync(f.Name(), info.Size, true); err != nil {
		return err
	}
	g, err := os.Open(f.Name())
	if err != nil {
		return err
	}
	clear, err := s.vault.Open(g)
	if err == nil {
		var have digest.Digest
		if have, _, err = digest.OfReader(contextReader{ctx, clear}); err == nil && have != info.Digest {
			err = fmt.Errorf("%w after encrypting", blob.ErrMismatch)
		}
	}
	return errors.Join(err, g.Close())
}

// removeClear removes the clear file of a blob that is there encrypted too.
func (s *Store) removeClear(ctx context.Context, info blob.Info) error {
	path := s.path(info.Digest, false)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if info.Sealed { // a run that was interrupted left it; the encrypted one may be older than this
		if err := s.prove(ctx, info.Digest, info.Size); err != nil {
			return err
		}
	}
	return durable.Remove(path)
}

// CopyTo copies a blob as it lies there, proven on the way, and reports how many bytes its
// file has. What is encrypted stays so, and replaces a clear copy.
func (s *Store) CopyTo(ctx context.Context, d digest.Digest, to *Store) (int64, error) {
	n, err := s.copyTo(ctx, d, to)
	if err != nil {
		return 0, fmt.Errorf("copy blob %s: %w", d, err)
	}
	return n, nil
}

func (s *Store) copyTo(ctx context.Context, d digest.Digest, to *Store) (n int64, err error) {
	f, sealed, err := s.file(d)
	if err != nil {
		return 0, notFound(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if have, err := os.Lstat(to.path(d, sealed)); err == nil && have.Size() == fi.Size() {
		return fi.Size(), to.dropClear(d, sealed)
	}
	tmp, err := os.CreateTemp(to.dir, tempPattern)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ignoreMissing(os.Remove(tmp.Name()))) }()
	size, err := s.pour(ctx, d, f, sealed, tmp)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return 0, err
	}
	if err := sync(tmp.Name(), size, sealed); err != nil {
		return 0, err
	}
	path := to.path(d, sealed)
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return 0, err
	}
	if err := replace(tmp.Name(), path); err != nil {
		return 0, err
	}
	return fi.Size(), to.dropClear(d, sealed)
}

// pour copies a file byte by byte and proves what is in it; it returns the size of that.
func (s *Store) pour(ctx context.Context, d digest.Digest, f *os.File, sealed bool, to io.Writer) (int64, error) {
	clear := io.TeeReader(contextReader{ctx, f}, to)
	if sealed {
		if s.vault == nil {
			return 0, ErrNoKeys
		}
		var err error
		if clear, err = s.vault.Open(clear); err != nil {
			return 0, err
		}
	}
	have, n, err := digest.OfReader(clear)
	if err != nil {
		return 0, err
	}
	if have != d {
		return 0, fmt.Errorf("%w: it holds %d bytes with %s", blob.ErrCorrupt, n, have)
	}
	return n, nil
}

// replace puts a file in the place of another one. Windows replaces none that is read-only.
func replace(from, to string) error {
	if err := os.Chmod(to, 0o600); ignoreMissing(err) != nil {
		return err
	}
	return durable.Rename(from, to)
}

// dropClear removes a clear copy of what is there encrypted.
func (s *Store) dropClear(d digest.Digest, sealed bool) error {
	if !sealed {
		return nil
	}
	return durable.Remove(s.path(d, false))
}
