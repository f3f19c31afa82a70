package evidence

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/blob"
	"hozen/internal/digest"
)

// plain is what decompressed bytes turned out to be.
type plain struct {
	sum     digest.Digest
	size    int64
	records int64 // lines
	whole   bool  // the last line is ended
}

// limeMagic begins an image of memory.
const limeMagic = "EMiL"

// errBomb means that few bytes become very many.
var errBomb = errors.New("decompresses to more than its size can justify")

// Bounds of decompression. Evidence compresses 10 to 40 times; the allowance lets
// short texts of equal lines pass. Memory that nobody used is gigabytes of zeros, which
// become next to nothing.
const (
	imageFree = 256 << 30
	maxWindow = 8 << 20 // bytes of memory per decoder
	bombFree  = 64 << 20
	bombRatio = 400
)

// Held is how many chunks of a part may be read after they were written: a chunk may be
// changed when so many others came after it, or when the part is ended or left.
const Held = 7

const _ = uint(blob.InflowTurns - Held) // what a file that arrives opened stays as long

// inflater reads the bytes of a part as they arrive and learns what they decompress
// to, in a goroutine of its own beside hashing and writing.
type inflater struct {
	chunks chan []byte
	done   chan struct{}
	fed    int64 // bytes taken by the goroutine
	got    plain // valid after done
	err    error // valid after done
}

func newInflater(compression string) *inflater {
	f := &inflater{chunks: make(chan []byte, Held-1), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		f.err = f.run(compression)
	}()
	return f
}

// feed hands b over. That it returns shows that the chunk [Held] before b is read: one waits
// in the channel for each but the last of them, and the goroutine takes one after the other.
func (f *inflater) feed(b []byte) {
	select {
	case f.chunks <- b:
	case <-f.done: // it failed, which finish tells
	}
}

// finish says that no more comes and returns what there was.
func (f *inflater) finish() (plain, error) {
	close(f.chunks)
	<-f.done
	return f.got, f.err
}

func (f *inflater) run(compression string) error {
	var src io.Reader = &chunkReader{f: f}
	if compression == "zstd" {
		dec, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.IgnoreChecksum(true)) // SHA-256 is checked instead
		if err != nil {
			return err
		}
		defer dec.Close()
		src = dec
	}
	t := taker{f: f, sum: sha256.New(), free: bombFree}
	if _, err := io.Copy(&t, src); err != nil { // both kinds write what they have without a copy
		return err
	}
	f.got.sum = digest.Digest(t.sum.Sum(nil))
	return nil
}

// taker learns from decompressed bytes what the inflater tells.
type taker struct {
	f    *inflater
	sum  hash.Hash
	free int64 // what few bytes may become
}

func (t *taker) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	got := &t.f.got
	if got.size == 0 && bytes.HasPrefix(b, []byte(limeMagic)) {
		t.free = imageFree
	}
	t.sum.Write(b)
	got.size += int64(len(b))
	got.records += int64(bytes.Count(b, []byte{'\n'}))
	got.whole = b[len(b)-1] == '\n'
	if got.size > t.free+bombRatio*t.f.fed {
		return 0, fmt.Errorf("%w: %d bytes of %d", errBomb, got.size, t.f.fed)
	}
	return len(b), nil
}

// chunkReader reads the channel; only the goroutine of run uses it.
type chunkReader struct {
	f    *inflater
	rest []byte
}

func (c *chunkReader) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		b, ok := <-c.f.chunks
		if !ok {
			return 0, io.EOF
		}
		c.rest = b
		c.f.fed += int64(len(b))
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// WriteTo implements [io.WriterTo].
func (c *chunkReader) WriteTo(w io.Writer) (n int64, err error) {
	for {
		if len(c.rest) == 0 {
			b, ok := <-c.f.chunks
			if !ok {
				return n, nil
			}
			c.rest = b
			c.f.fed += int64(len(b))
		}
		k, err := w.Write(c.rest)
		c.rest, n = c.rest[k:], n+int64(k)
		if err != nil {
			return n, err
		}
	}
}
