package export

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// bag writes the files of a BagIt folder (RFC 8493) into a zip one after the other, in
// the order of their names, and remembers what its manifests have to say of them. Names,
// times and compression are fixed, so that equal content gives equal bytes.
//
// Content is made by whoever calls, packed by a goroutine behind a short queue, and
// deflated by as many as there are processors.
type bag struct {
	ctx     context.Context
	stop    context.CancelCauseFunc
	base    string // folder that everything is in
	at      time.Time
	last    string
	payload bytes.Buffer // lines of manifest-sha256.txt
	tags    bytes.Buffer // lines of tagmanifest-sha256.txt
	octets  int64
	streams int64
	queue   chan piece
	free    chan []byte // blocks that were packed
	packed  chan struct{}
	err     error // of packing; read it when packed is closed
	block   []byte
}

// blockSize is how much content is handed on at a time, and what a segment of a deflated
// file holds. It shapes the bytes of packages.
const blockSize = 256 << 10

// piece is the next thing to pack: a file begins, or goes on with content.
type piece struct {
	begins *zip.FileHeader
	block  []byte
}

// errGivenUp ends the packing of what nobody wants any more.
var errGivenUp = errors.New("the package was given up")

func newBag(ctx context.Context, w io.Writer, base string, at time.Time) *bag {
	b := &bag{base: base, at: at.UTC().Truncate(time.Second), block: make([]byte, blockSize), queue: make(chan piece, 24), free: make(chan []byte, 24), packed: make(chan struct{})}
	b.ctx, b.stop = context.WithCancelCause(ctx)
	go func() {
		defer close(b.packed)
		if b.err = b.pack(w); b.err != nil {
			b.stop(b.err)
		}
	}()
	return b
}

// pack writes everything that comes through the queue into the zip.
func (b *bag) pack(w io.Writer) error {
	zw := zip.NewWriter(w)
	p := newPresses()
	defer p.wait()
	zw.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return p.press(w), nil })
	var file io.Writer
	for {
		var x piece
		var more bool
		select {
		case x, more = <-b.queue:
		case <-b.ctx.Done():
			return context.Cause(b.ctx)
		}
		var err error
		switch {
		case !more:
			return zw.Close()
		case x.begins != nil:
			file, err = zw.CreateHeader(x.begins)
		default:
			if _, err = file.Write(x.block); err == nil {
				select {
				case b.free <- x.block:
				default:
				}
			}
		}
		if err != nil {
			return err
		}
	}
}

func (b *bag) send(x piece) error {
	select {
	case b.queue <- x:
		return nil
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
}

// giveUp ends the bag; nothing is written any more when it returns.
func (b *bag) giveUp() {
	b.stop(errGivenUp)
	<-b.packed
}

// content hashes and counts what is written and hands it on in blocks.
type content struct {
	bag   *bag
	block []byte
	h     hash.Hash
	n     int64
}

func (c *content) Write(p []byte) (int, error) {
	all := len(p)
	for len(p) > 0 {
		if c.block == nil {
			select {
			case c.block = <-c.bag.free:
				c.block = c.block[:0]
			default:
				c.block = make([]byte, 0, blockSize)
			}
		}
		n := copy(c.block[len(c.block):cap(c.block)], p)
		c.block, p = c.block[:len(c.block)+n], p[n:]
		if len(c.block) == cap(c.block) {
			if err := c.flush(); err != nil {
				return 0, err
			}
		}
	}
	return all, nil
}

func (c *content) flush() error {
	if len(c.block) == 0 {
		return nil
	}
	c.h.Write(c.block)
	c.n += int64(len(c.block))
	block := c.block
	c.block = nil
	return c.bag.send(piece{block: block})
}

// begin begins a file, which the caller writes and ends before the next one begins.
func (b *bag) begin(name string, method uint16) (*content, error) {
	if err := b.send(piece{begins: &zip.FileHeader{Name: b.base + "/" + name, Method: method, Modified: b.at}}); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return &content{bag: b, h: sha256.New()}, nil
}

// end ends the file and returns its SHA-256.
func (c *content) end() (string, error) {
	err := c.flush()
	return hex.EncodeToString(c.h.Sum(nil)), err
}

// entry writes one file and returns its SHA-256 and size.
func (b *bag) entry(name string, method uint16, fill func(io.Writer) error) (string, int64, error) {
	c, err := b.begin(name, method)
	if err != nil {
		return "", 0, err
	}
	sum := ""
	if err = fill(c); err == nil {
		sum, err = c.end()
	}
	if err != nil {
		return "", 0, fmt.Errorf("write %s: %w", name, err)
	}
	return sum, c.n, nil
}

// data writes a file of the payload; name is below data/.
func (b *bag) data(name string, method uint16, fill func(io.Writer) error) (string, error) {
	name = "data/" + name
	if name <= b.last {
		return "", errors.New("write package: files out of order: " + name)
	}
	b.last = name
	sum, n, err := b.entry(name, method, fill)
	if err != nil {
		return "", err
	}
	b.list(sum, name, n)
	return sum, nil
}

// list notes a file of the payload that was written.
func (b *bag) list(sum, name string, n int64) {
	fmt.Fprintf(&b.payload, "%s  %s\n", sum, name)
	b.octets += n
	b.streams++
}

// text writes a small file of the payload.
func (b *bag) text(name string, content []byte) error {
	_, err := b.data(name, zip.Deflate, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	return err
}

// tag writes a file beside the payload.
func (b *bag) tag(name string, content []byte) error {
	sum, _, err := b.entry(name, zip.Deflate, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	fmt.Fprintf(&b.tags, "%s  %s\n", sum, name)
	return err
}

// close writes the manifests and ends the zip. tags come between the payload and them,
// in the order of their names.
func (b *bag) close(info func(octets, streams int64) []byte, readmes map[string][]byte) error {
	for _, t := range []struct {
		name    string
		content []byte
	}{
		{"README-en.txt", readmes["en"]},
		{"README-ja.txt", readmes["ja"]},
		{"bag-info.txt", info(b.octets, b.streams)},
		{"bagit.txt", []byte("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")},
		{"manifest-sha256.txt", b.payload.Bytes()},
	} {
		if err := b.tag(t.name, t.content); err != nil {
			return err
		}
	}
	if _, _, err := b.entry("tagmanifest-sha256.txt", zip.Deflate, func(w io.Writer) error {
		_, err := w.Write(b.tags.Bytes())
		return err
	}); err != nil {
		return err
	}
	return b.end()
}

// end ends the zip.
func (b *bag) end() error {
	close(b.queue)
	<-b.packed
	if b.err != nil {
		return fmt.Errorf("end package: %w", b.err)
	}
	return nil
}
