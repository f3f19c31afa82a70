package atrest

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"os"

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
	f := &inflow{box: aead, n: uint64(offset / chunkSize), skip: int(offset % chunkSize), rest: make([]byte, 0, boxSize)}
	if offset == 0 && len(envelope) == headSize {
		if _, err := age.DecryptHeader(header, r.ages[0]); err == nil { // the newest
			f.envelope = envelope
		}
	}
	return f, nil
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

	envelope []byte // of a file that may be kept
	keep     *keeper
}

// Take implements [blob.Inflow].
func (f *inflow) Take(b []byte, give func(clear []byte) error) error {
	out := f.room()
	for len(b) > 0 {
		box, began := b, false
		if len(f.rest) > 0 || len(b) < boxSize {
			n := min(len(b), boxSize-len(f.rest))
			f.rest, b = append(f.rest, b[:n]...), b[n:]
			if len(f.rest) < boxSize {
				break
			}
			box, began = f.rest, true
		} else {
			box, b = b[:boxSize], b[boxSize:]
		}
		clear, err := f.box.Open(out, number(f.n, false), box, nil)
		if err != nil { // a whole chunk may be the last
			if err := f.give(out, give); err != nil {
				return err
			}
			return f.last(box, b, began, give)
		}
		f.keep.take(box, began)
		out, f.n, f.rest = clear, f.n+1, f.rest[:0]
	}
	return f.give(out, give)
}

// room is where what is opened next is put: one piece for all that came together, since
// each is hashed, written and handed on, in the place of one that was given before
// [blob.InflowTurns] others.
func (f *inflow) room() []byte { return f.rooms[f.turn][:0] }

// last opens box as the last chunk; after it nothing may come.
func (f *inflow) last(box, more []byte, began bool, give func(clear []byte) error) error {
	if f.over || len(more) > 0 {
		return corrupt(fmt.Errorf("%w: something follows its end", unseal.ErrDamaged))
	}
	clear, err := f.box.Open(f.room(), number(f.n, true), box, nil)
	if err != nil {
		return corrupt(fmt.Errorf("%w: chunk %d", unseal.ErrDamaged, f.n))
	}
	if len(clear) == 0 && f.n > 0 { // C2SP age.md
		return corrupt(fmt.Errorf("%w: its last chunk is empty", unseal.ErrDamaged))
	}
	if f.keep.take(box, began); len(clear) == 0 {
		f.keep.last()
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
	switch {
	case f.over && len(f.rest) > 0:
		return corrupt(fmt.Errorf("%w: something follows its end", unseal.ErrDamaged))
	case f.over:
		return nil
	case len(f.rest) > 0:
		return f.last(f.rest, nil, true, give)
	case f.keep != nil:
		return corrupt(fmt.Errorf("%w: it has no end", unseal.ErrDamaged))
	}
	return nil // the digest of what came tells
}

// Keep implements [blob.Inflow].
func (f *inflow) Keep(to *os.File) (io.WriteCloser, error) {
	if f.envelope == nil {
		return nil, nil
	}
	f.keep = &keeper{f: to}
	return f.keep, f.keep.flush(f.envelope)
}

// keeper writes the chunks of a file as they came, each when what is in it was handed on.
type keeper struct {
	f    *os.File
	end  int64  // of what is in f
	rest []byte // of out, what began in an earlier piece
	out  []byte // opened, and not yet written; part of the piece that is taken
	// ended is a last chunk with nothing in it, which is never handed on.
	ended []byte
	err   error
}

// take is told of each chunk that opened; a nil keeper keeps nothing. Those after the first
// follow it in the piece that is taken.
func (k *keeper) take(box []byte, began bool) {
	switch {
	case k == nil:
	case began:
		k.rest = append(k.rest, box...)
	case len(k.out) == 0:
		k.out = box
	default:
		k.out = k.out[:len(k.out)+len(box)]
	}
}

// last says that the chunk taken last is empty.
func (k *keeper) last() {
	if k != nil {
		k.ended, k.rest, k.out = append(k.rest, k.out...), nil, nil
	}
}

// Write writes the chunks that clear was in, all of it or nothing.
func (k *keeper) Write(clear []byte) (int, error) {
	if err := errors.Join(k.flush(k.rest), k.flush(k.out)); err != nil {
		return 0, err
	}
	k.rest, k.out = k.rest[:0], nil
	return len(clear), nil
}

func (k *keeper) flush(b []byte) error {
	if k.err != nil || len(b) == 0 {
		return k.err
	}
	if _, k.err = k.f.Write(b); k.err != nil {
		k.err = errors.Join(k.err, k.f.Truncate(k.end))
	}
	k.end += int64(len(b))
	return k.err
}

// Close writes an empty last chunk. What was opened and not handed on is dropped.
func (k *keeper) Close() error {
	if k.err != nil {
		return k.err
	}
	b := k.ended
	k.ended = nil
	return k.flush(b)
}
