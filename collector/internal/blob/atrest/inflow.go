package atrest

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"fmt"

	"filippo.io/age"

	"hozen/collector/internal/blob"
	"hozen/internal/envelope/unseal"
)

// maxHeader bounds the header of a file that comes from elsewhere: it may have been encrypted
// to several keys.
const maxHeader = 16 << 10

// Inflow implements [blob.Vault].
func (r *Ring) Inflow(envelope []byte, offset int64) (blob.Inflow, error) {
	if len(envelope) > maxHeader || offset < 0 {
		return nil, fmt.Errorf("open a file that arrives: %w", corrupt(unseal.ErrDamaged))
	}
	header, err := age.ExtractHeader(bytes.NewReader(envelope))
	if err != nil || len(header)+nonceSize != len(envelope) || !bytes.HasPrefix(envelope, header) {
		return nil, fmt.Errorf("open a file that arrives: %w", corrupt(fmt.Errorf("%w: header", unseal.ErrDamaged)))
	}
	key, err := age.DecryptHeader(header, r.ages...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, fmt.Errorf("open a file that arrives: %w", blob.ErrOtherKey)
	}
	if err != nil {
		return nil, fmt.Errorf("open a file that arrives: %w", corrupt(fmt.Errorf("%w: %w", unseal.ErrDamaged, err)))
	}
	aead, err := box(key, envelope[len(envelope)-nonceSize:])
	if err != nil {
		return nil, fmt.Errorf("open a file that arrives: %w", err)
	}
	return &inflow{box: aead, n: uint64(offset / chunkSize), skip: int(offset % chunkSize), rest: make([]byte, 0, boxSize)}, nil
}

// inflow opens the chunks of a file as they arrive.
type inflow struct {
	box  cipher.AEAD
	n    uint64 // of the chunk that comes next
	skip int    // clear bytes of it that are there already
	rest []byte // its beginning
	over bool   // the last chunk was there
}

// Take implements [blob.Inflow].
func (f *inflow) Take(b []byte, give func(clear []byte) error) error {
	for len(b) > 0 {
		n := min(len(b), boxSize-len(f.rest))
		f.rest, b = append(f.rest, b[:n]...), b[n:]
		if len(f.rest) < boxSize {
			return nil
		}
		clear, err := f.box.Open(nil, number(f.n, false), f.rest, nil)
		if err != nil { // a whole chunk may be the last
			return f.last(b, give)
		}
		f.n, f.rest = f.n+1, f.rest[:0]
		if err := f.give(clear, give); err != nil {
			return err
		}
	}
	return nil
}

// last opens what is there as the last chunk; after it nothing may come.
func (f *inflow) last(more []byte, give func(clear []byte) error) error {
	if f.over || len(more) > 0 {
		return corrupt(fmt.Errorf("%w: something follows its end", unseal.ErrDamaged))
	}
	clear, err := f.box.Open(nil, number(f.n, true), f.rest, nil)
	if err != nil {
		return corrupt(fmt.Errorf("%w: chunk %d", unseal.ErrDamaged, f.n))
	}
	f.over, f.rest = true, f.rest[:0]
	return f.give(clear, give)
}

func (f *inflow) give(clear []byte, to func([]byte) error) error {
	n := min(f.skip, len(clear))
	f.skip -= n
	if clear = clear[n:]; len(clear) == 0 {
		return nil
	}
	return to(clear)
}

// Close implements [blob.Inflow].
func (f *inflow) Close(give func(clear []byte) error) error {
	if f.over || len(f.rest) == 0 {
		return nil // where it ended without its last chunk, the digest of what came tells
	}
	return f.last(nil, give)
}
