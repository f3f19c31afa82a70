package evidence

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
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
	h := sha256.New()
	buf := make([]byte, 128<<10)
	free := int64(bombFree)
	for {
		n, err := src.Read(buf)
		b := buf[:n]
		h.Write(b)
		f.got.size += int64(n)
		f.got.records += int64(bytes.Count(b, []byte{'\n'}))
		if n > 0 {
			f.got.whole = b[n-1] == '\n'
		}
		if f.got.size == int64(n) && bytes.HasPrefix(b, []byte(limeMagic)) {
			free = imageFree
		}
		if f.got.size > free+bombRatio*f.fed {
			return fmt.Errorf("%w: %d bytes of %d", errBomb, f.got.size, f.fed)
		}
		if err == io.EOF {
			f.got.sum = digest.Digest(h.Sum(nil))
			return nil
		}
		if err != nil {
			return err
		}
	}
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
