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
	box   cipher.AEAD
	n     uint64 // of the chunk that comes next
	skip  int    // clear bytes of it that are there already
	rest  []byte // its beginning
	over  bool   // the last chunk was there
	rooms [blob.InflowTurns + 1][]byte
	turn  int
}

// Take implements [blob.Inflow].
func (f *inflow) Take(b []byte, give func(clear []byte) error) error {
	out := f.room()
	for len(b) > 0 {
		box := b
		if len(f.rest) > 0 || len(b) < boxSize {
			n := min(len(b), boxSize-len(f.rest))
			f.rest, b = append(f.rest, b[:n]...), b[n:]
			if len(f.rest) < boxSize {
				break
			}
			box = f.rest
		} else {
			box, b = b[:boxSize], b[boxSize:]
		}
		clear, err := f.box.Open(out, number(f.n, false), box, nil)
		if err != nil { // a whole chunk may be the last
			if err := f.give(out, give); err != nil {
				return err
			}
			return f.last(box, b, give)
		}
		out, f.n, f.rest = clear, f.n+1, f.rest[:0]
	}
	return f.give(out, give)
}

// room is where what is opened next is put: one piece for all that came together, since
// each is hashed, written and handed on, in the place of one that was given before
// [blob.InflowTurns] others.
func (f *inflow) room() []byte { return f.rooms[f.turn][:0] }

// last opens box as the last chunk; after it nothing may come.
func (f *inflow) last(box, more []byte, give func(clear []byte) error) error {
	if f.over || len(more) > 0 {
		return corrupt(fmt.Errorf("%w: something follows its end", unseal.ErrDamaged))
	}
	clear, err := f.box.Open(f.room(), number(f.n, true), box, nil)
	if err != nil {
		return corrupt(fmt.Errorf("%w: chunk %d", unseal.ErrDamaged, f.n))
	}
	f.over, f.rest = true, f.rest[:0]
	return f.give(clear, give)
}

// give hands on what was opened into the room of this turn.
func (f *inflow) give(clear []byte, to func([]byte) error) error {
	f.rooms[f.turn] = clear[:0]
	n := min(f.skip, len(clear))
	f.skip -= n
	if clear = clear[n:]; len(clear) == 0 {
		return nil
	}
	f.turn = (f.turn + 1) % len(f.rooms)
	return to(clear)
}

// Close implements [blob.Inflow].
func (f *inflow) Close(give func(clear []byte) error) error {
	if f.over || len(f.rest) == 0 {
		return nil // where it ended without its last chunk, the digest of what came tells
	}
	return f.last(f.rest, nil, give)
}
