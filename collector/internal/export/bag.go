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

	"github.com/klauspost/compress/flate"
)

// bag writes the files of a BagIt folder (RFC 8493) into a zip one after the other, in
// the order of their names, and remembers what its manifests have to say of them. Names,
// times and compression are fixed, so that equal content gives equal bytes.
type bag struct {
	ctx     context.Context
	zip     *zip.Writer
	base    string // folder that everything is in
	at      time.Time
	last    string
	payload bytes.Buffer // lines of manifest-sha256.txt
	tags    bytes.Buffer // lines of tagmanifest-sha256.txt
	octets  int64
	streams int64
	block   []byte
}

func newBag(ctx context.Context, w io.Writer, base string, at time.Time) *bag {
	zw := zip.NewWriter(w)
	zw.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	return &bag{ctx: ctx, zip: zw, base: base, at: at.UTC().Truncate(time.Second), block: make([]byte, 256<<10)}
}

// counted hashes and counts what is written and stops when ctx ends.
type counted struct {
	ctx context.Context
	w   io.Writer
	h   hash.Hash
	n   int64
}

func (c *counted) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	c.h.Write(p)
	c.n += int64(len(p))
	return c.w.Write(p)
}

// entry writes one file and returns its SHA-256 and size.
func (b *bag) entry(name string, method uint16, fill func(io.Writer) error) (string, int64, error) {
	w, err := b.zip.CreateHeader(&zip.FileHeader{Name: b.base + "/" + name, Method: method, Modified: b.at})
	if err != nil {
		return "", 0, fmt.Errorf("write %s: %w", name, err)
	}
	c := &counted{ctx: b.ctx, w: w, h: sha256.New()}
	if err := fill(c); err != nil {
		return "", 0, fmt.Errorf("write %s: %w", name, err)
	}
	return hex.EncodeToString(c.h.Sum(nil)), c.n, nil
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
	fmt.Fprintf(&b.payload, "%s  %s\n", sum, name)
	b.octets += n
	b.streams++
	return sum, nil
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
	if err := b.zip.Close(); err != nil {
		return fmt.Errorf("end package: %w", err)
	}
	return nil
}
