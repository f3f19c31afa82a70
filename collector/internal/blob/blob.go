// Package blob is the contract of the store of evidence bytes: written once under
// their own digest, never changed, never overwritten. It knows nothing of what the
// bytes mean or of who may read them.
package blob

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"

	"hozen/internal/digest"
)

// The errors that callers act on.
var (
	// ErrNotFound means that there is no blob of that digest.
	ErrNotFound = errors.New("no such blob")
	// ErrMismatch means that bytes to be stored don't have the digest or size that was
	// said of them; nothing was stored.
	ErrMismatch = errors.New("the bytes do not have their digest")
	// ErrCorrupt means that what lies in the store under a digest does not have it. It
	// is never overwritten: somebody has to look at it.
	ErrCorrupt = errors.New("a stored blob does not have its digest")
	// ErrOtherKey means that what arrives is encrypted, and to no key of the vault.
	ErrOtherKey = errors.New("it is encrypted to another key")
)

// Info describes one blob.
type Info struct {
	Digest digest.Digest
	Size   int64 // bytes
	Sealed bool  // it lies there encrypted
}

// Store keeps blobs. It is safe for concurrent use, by one collector at a time.
//
// Every implementation passes blobtest.Run. Storing what is there already succeeds
// and changes nothing, provided that the same bytes are there; so every call may be
// repeated after a crash. A store in another place (S3) uploads with
// If-None-Match: * and the object's SHA-256 checksum, and Adopt uploads the file
// before it removes it.
type Store interface {
	// Put stores size bytes from r under d and returns when they are durable. Bytes that
	// turn out to be others fail with [ErrMismatch].
	Put(ctx context.Context, d digest.Digest, size int64, r io.Reader) error
	// Adopt stores the file at path under d and takes the file away, and returns when
	// that is durable. The caller has hashed every byte of it and let go of it; Adopt
	// does not read it again, but does check its size. On failure the file is still there.
	// A store with a [Vault] takes the file as that vault wrote it, and a clear one too,
	// which it encrypts; size and d are of the clear bytes.
	Adopt(ctx context.Context, d digest.Digest, size int64, path string) error
	// Open opens the blob for reading; the caller closes it. It fails with
	// [ErrNotFound]. The bytes are as stored, not checked: who needs proof hashes them.
	Open(ctx context.Context, d digest.Digest) (io.ReadSeekCloser, error)
	// Stat describes the blob, or fails with [ErrNotFound].
	Stat(ctx context.Context, d digest.Digest) (Info, error)
	// List goes through all blobs in the order of their digests. Something in the store
	// that is no blob is an error that names it, after which the list goes on.
	List(ctx context.Context) iter.Seq2[Info, error]
}

// Vault encrypts what lies on the disk. It is safe for concurrent use. What was changed
// since, or is of another vault, fails with [ErrCorrupt].
type Vault interface {
	// Begin begins a file in w. Close of what it returns ends the file and leaves w open.
	Begin(w io.Writer) (io.WriteCloser, error)
	// Resume goes on with a file, ended or not: it hands what is in it, as far as that is
	// right, to take, which may keep the bytes, cuts off the rest, and returns what takes
	// more.
	Resume(f *os.File, take func([]byte)) (io.WriteCloser, error)
	// Open reads an ended file from its beginning; its end is reached only when every byte
	// is as it was written.
	Open(r io.Reader) (io.Reader, error)
	// Size is how many clear bytes are in a file of n bytes. Of an ended one it is negative
	// where it cannot be one; of another one it holds unless a crash tore the end.
	Size(n int64, ended bool) int64
	// Inflow opens a file in the format age that arrives from elsewhere, encrypted to one of
	// the vault's keys, now or before: envelope is its beginning, header and nonce, and what
	// arrives are its bytes from the 64 KiB on in which the clear byte at offset lies. The
	// error wraps [ErrOtherKey], or [ErrCorrupt] where it is no such beginning.
	Inflow(envelope []byte, offset int64) (Inflow, error)
}

// InflowTurns is how many pieces an [Inflow] hands on before it puts another in the place
// of the first.
const InflowTurns = 8

// Inflow is a file that arrives. Both hand on what they open, from offset on: a piece stays
// what it is until [InflowTurns] others were handed on. An error wraps [ErrCorrupt] where the
// bytes are not as they were encrypted.
type Inflow interface {
	// Take takes the next bytes of the file.
	Take(b []byte, give func(clear []byte) error) error
	// Close opens what is left: no more comes. It tells whether the file is whole only of one
	// that is kept.
	Close(give func(clear []byte) error) error
	// Keep keeps the file in f as it arrives, where it is as the vault would have made it: from
	// its beginning, and encrypted to the key that the vault encrypts to, and to no other. What
	// Take and Close hand on is then written to the writer, nothing else, and what that writes
	// are the bytes that it was opened from. Its Close leaves f open, and what is in f is what
	// [Vault] Resume takes. A nil writer: the file is not kept.
	Keep(f *os.File) (io.WriteCloser, error)
}
