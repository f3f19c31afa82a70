// Package blob is the contract of the store of evidence bytes: written once under
// their own digest, never changed, never overwritten. It knows nothing of what the
// bytes mean or of who may read them.
package blob

import (
	"context"
	"errors"
	"io"
	"iter"

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
)

// Info describes one blob.
type Info struct {
	Digest digest.Digest
	Size   int64 // bytes
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
