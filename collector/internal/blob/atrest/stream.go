package atrest

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"

	"hozen/internal/envelope/unseal"
)

// The layout of a file, which is that of age (C2SP age.md): a header with one X25519 stanza,
// a nonce, and chunks of which each but the last has 64 KiB and each is 16 bytes longer than
// what is in it.
const (
	nonceSize = 16
	headSize  = 168 + nonceSize
	chunkSize = 64 << 10
	overhead  = chacha20poly1305.Overhead
	boxSize   = chunkSize + overhead
)

// payloadSize is how many clear bytes an ended file of n bytes holds; -1: it cannot be one.
func payloadSize(n int64) int64 {
	body := n - headSize
	if body < overhead {
		return -1
	}
	boxes := (body + boxSize - 1) / boxSize
	if size := body - boxes*overhead; size > (boxes-1)*chunkSize || boxes == 1 {
		return size
	}
	return -1 // the last chunk would be empty
}

// grownSize is how many clear bytes are in a file that was left, unless a crash tore its end.
func grownSize(n int64) int64 {
	body := max(0, n-headSize)
	return body/boxSize*chunkSize + max(0, body%boxSize-overhead)
}

// captured learns the key of a file from wrapping it.
type captured struct {
	age.Recipient
	key []byte
}

// Wrap implements [age.Recipient].
func (c *captured) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	c.key = bytes.Clone(fileKey)
	return c.Recipient.Wrap(fileKey)
}

// box is the cipher of one file's chunks.
func box(fileKey, nonce []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, fileKey, nonce, "payload", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.New(key)
}

// number is the nonce of a chunk.
func number(n uint64, last bool) []byte {
	var b [chacha20poly1305.NonceSize]byte
	binary.BigEndian.PutUint64(b[3:11], n)
	if last {
		b[11] = 1
	}
	return b[:]
}

// writer encrypts what arrives. The age library has a writer too; this one goes on with a
// file that was interrupted, and copies less.
type writer struct {
	w    io.Writer
	box  cipher.AEAD
	end  int64  // of what is in w
	n    uint64 // of the chunk that comes next
	rest []byte // its beginning; whole, as long as it may be the last
	out  []byte
	err  error
}

// head writes the beginning of a file.
func head(w io.Writer, to age.Recipient) (*writer, error) {
	c := &captured{Recipient: to}
	var b bytes.Buffer
	if _, err := age.Encrypt(&b, c); err != nil {
		return nil, err
	}
	if b.Len() != headSize {
		return nil, fmt.Errorf("the header has %d bytes, not %d", b.Len(), headSize)
	}
	aead, err := box(c.key, b.Bytes()[headSize-nonceSize:])
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return nil, err
	}
	return &writer{w: w, box: aead, end: headSize, rest: make([]byte, 0, chunkSize)}, nil
}

// Write takes all of p or fails for good. What was not yet a whole chunk is not in the file.
func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	taken := len(p)
	w.out = w.out[:0]
	if room := chunkSize - len(w.rest); len(p) > room {
		w.rest = append(w.rest, p[:room]...)
		p = p[room:]
		w.seal(w.rest, false)
		w.rest = w.rest[:0]
		for ; len(p) > chunkSize; p = p[chunkSize:] {
			w.seal(p[:chunkSize], false)
		}
	}
	w.rest = append(w.rest, p...)
	if err := w.flush(); err != nil {
		return 0, err
	}
	return taken, nil
}

// flush writes whole chunks. A file takes them all or is cut back to what it had.
func (w *writer) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	if _, w.err = w.w.Write(w.out); w.err != nil {
		if f, ok := w.w.(*os.File); ok {
			w.err = errors.Join(w.err, f.Truncate(w.end))
		}
	}
	w.end += int64(len(w.out))
	return w.err
}

func (w *writer) seal(p []byte, last bool) {
	w.out = w.box.Seal(w.out, number(w.n, last), p, nil)
	w.n++
}

// Close writes the end of the file, and leaves what is below open.
func (w *writer) Close() error {
	if w.err != nil {
		return w.err
	}
	w.out = w.out[:0]
	w.seal(w.rest, true)
	if err := w.flush(); err != nil {
		return err
	}
	w.err = os.ErrClosed
	return nil
}

// resume goes on with a file: with as much of it from its beginning as is right. Its last
// chunk is taken back, because it may have to be written again as the last one or as one
// before it. The same clear bytes give the same chunk, so that no key stream is used for two
// texts unless the sender sends two.
func resume(f *os.File, take func([]byte), ids []age.Identity) (*writer, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	w, err := openHead(f, ids)
	if err != nil {
		return nil, err
	}
	end, last := int64(headSize), false // where the chunk begins that is taken back
	for left := fi.Size() - headSize; left > overhead && !last; {
		n := min(left, boxSize)
		left -= n
		in := make([]byte, n)
		if _, err := io.ReadFull(f, in); err != nil {
			return nil, err
		}
		var clear []byte
		if clear, last = w.open(in, n == boxSize); clear == nil {
			break // torn by a crash, or changed
		}
		if len(w.rest) > 0 {
			w.n, end = w.n+1, end+boxSize
		}
		w.rest = append(w.rest[:0], clear...)
		take(clear)
	}
	if len(w.rest) > 0 {
		err = f.Truncate(end + int64(len(w.rest)) + overhead)
	} else {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	w.end = end
	return w, err
}

// open opens the chunk after the one that is taken back; nil: it is not right. Only a whole
// chunk may be followed by others.
func (w *writer) open(in []byte, whole bool) (clear []byte, last bool) {
	n := w.n
	if len(w.rest) > 0 {
		n++
	}
	if whole {
		if clear, err := w.box.Open(nil, number(n, false), in, nil); err == nil {
			return clear, false
		}
	}
	clear, err := w.box.Open(nil, number(n, true), in, nil)
	if err != nil {
		return nil, false
	}
	return clear, true
}

// openHead reads the beginning of a file that is to be gone on with.
func openHead(f *os.File, ids []age.Identity) (*writer, error) {
	b := make([]byte, headSize)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", unseal.ErrDamaged, err)
	}
	header, err := age.ExtractHeader(bytes.NewReader(b))
	if err != nil || len(header) != headSize-nonceSize {
		return nil, fmt.Errorf("%w: header", unseal.ErrDamaged)
	}
	key, err := age.DecryptHeader(header, ids...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return nil, unseal.ErrOtherKey
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", unseal.ErrDamaged, err)
	}
	aead, err := box(key, b[headSize-nonceSize:])
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(headSize, io.SeekStart); err != nil {
		return nil, err
	}
	return &writer{w: f, box: aead, rest: make([]byte, 0, chunkSize)}, nil
}
