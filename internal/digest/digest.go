// Package digest is the content identifier of everything Hozen keeps: SHA-256
// (FIPS 180-4), written as 64 lower-case hexadecimal digits, the spelling that
// sha256sum prints. It knows nothing of files or stores.
package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
)

// Digest is a SHA-256 value. The zero Digest means "none".
type Digest [sha256.Size]byte

// Of returns the digest of b.
func Of(b []byte) Digest { return sha256.Sum256(b) }

// Parse reads 64 lower-case hexadecimal digits; any other spelling is refused, so
// that equal digests are equal strings.
func Parse(s string) (Digest, error) {
	var d Digest
	if len(s) != hex.EncodedLen(len(d)) {
		return Digest{}, fmt.Errorf("digest %.80q: want %d hexadecimal digits", s, hex.EncodedLen(len(d)))
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil || d.String() != s {
		return Digest{}, fmt.Errorf("digest %q: want lower-case hexadecimal digits", s)
	}
	return d, nil
}

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is "none".
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText and UnmarshalText use the spelling of [Parse].
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (d *Digest) UnmarshalText(b []byte) error {
	v, err := Parse(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Writer counts and hashes what passes through it to an underlying writer.
type Writer struct {
	w io.Writer
	h hash.Hash
	n int64
}

// NewWriter returns a Writer that passes bytes on to w; io.Discard only hashes.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w, h: sha256.New()} }

// Write hashes exactly the bytes that the underlying writer took.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.h.Write(p[:n])
	w.n += int64(n)
	return n, err
}

// Sum returns the digest of everything written so far.
func (w *Writer) Sum() Digest { return Digest(w.h.Sum(nil)) }

// Size returns the number of bytes written so far.
func (w *Writer) Size() int64 { return w.n }

// OfReader hashes r to its end and returns the digest and the number of bytes.
func OfReader(r io.Reader) (Digest, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return Digest(h.Sum(nil)), n, err
}
