package verify

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory that a compressed artifact can ask for.
const maxWindow = 8 << 20

// artifact checks one file against its entry. The error is ctx's.
func (c *check) artifact(ctx context.Context, e *entry) error {
	got := Artifact{Name: e.name, Kind: e.kind, Stored: e.stored.sha256}
	before := len(c.report.Problems)
	defer func() {
		got.OK = len(c.report.Problems) == before
		c.report.Artifacts = append(c.report.Artifacts, got)
	}()
	f, size := c.open(e.name, false)
	if f == nil {
		return nil
	}
	defer f.Close()
	if size != e.stored.size {
		c.problem(codeSize, e.name, "%d bytes are stored, the manifest says %d", size, e.stored.size)
		return nil // it is another file; its content says nothing
	}
	res, err := readArtifact(ctx, f, e.compression, e.plain.size)
	if cerr := ctx.Err(); cerr != nil {
		return cerr
	}
	got.Records = res.records
	if res.stored != e.stored.sha256 {
		c.problem(codeStored, e.name, "the stored bytes have the SHA-256 %s, the manifest says %s", res.stored, e.stored.sha256)
	}
	var bad *lineError
	switch {
	case errors.Is(err, errTooLong):
		c.problem(codeSize, e.name, "it decompresses to more than the %d bytes that the manifest says", e.plain.size)
		return nil
	case errors.As(err, &bad):
		if c.packed && res.stored == e.stored.sha256 && res.size == e.plain.size && res.plain == e.plain.sha256 && res.records == e.records {
			c.odd = append(c.odd, e.name)
			return nil
		}
		c.problem(codeLine, e.name, "%v", err)
		return nil
	case err != nil:
		c.problem(codeCompression, e.name, "%v", err)
		return nil
	}
	if res.size != e.plain.size {
		c.problem(codeSize, e.name, "it decompresses to %d bytes, the manifest says %d", res.size, e.plain.size)
	}
	if res.plain != e.plain.sha256 {
		c.problem(codePlain, e.name, "the decompressed bytes have the SHA-256 %s, the manifest says %s", res.plain, e.plain.sha256)
	}
	if res.records != e.records {
		c.problem(codeRecords, e.name, "%d records, the manifest says %d", res.records, e.records)
	}
	return nil
}

var errTooLong = errors.New("longer than announced")

// lineError says which line is not one JSON object.
type lineError struct {
	line int64
	why  string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d %s", e.line, e.why) }

type contents struct {
	stored, plain string // SHA-256
	size, records int64  // of what is plain
}

// readArtifact reads stored bytes to their end, at most limit bytes of what they
// decompress to. The stored digest is of all bytes of r whatever the error.
func readArtifact(ctx context.Context, r io.Reader, compression string, limit int64) (contents, error) {
	storedHash := sha256.New()
	in := io.TeeReader(&patient{ctx, r}, storedHash)
	var res contents
	err := func() error {
		plain := in
		if compression == "zstd" {
			dec, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow),
				zstd.IgnoreChecksum(true)) // the manifest's SHA-256 counts
			if err != nil {
				return err
			}
			defer dec.Close()
			plain = dec
		}
		return res.lines(plain, limit)
	}()
	// What decompression left unread still counts for the digest.
	if _, rerr := io.Copy(io.Discard, in); rerr != nil && err == nil {
		err = rerr
	}
	res.stored = hex.EncodeToString(storedHash.Sum(nil))
	return res, err
}

// lines reads JSON lines: each one object, UTF-8, ended by a newline.
func (res *contents) lines(r io.Reader, limit int64) error {
	h := sha256.New()
	br := bufio.NewReaderSize(&bounded{r: r, left: limit, h: h, n: &res.size}, 64<<10)
	var long []byte
	var odd *lineError // the first; reading goes on, for digest and count are of all
	tooLong := false
	for {
		b, err := br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(long) > 0 || tooLong {
			if len(long)+len(b) > maxLine || tooLong {
				tooLong, long = true, nil
			} else {
				long = append(long, b...)
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			b = long
		}
		if err == io.EOF && len(b) == 0 && !tooLong {
			break
		}
		if err != nil && err != io.EOF {
			return err
		}
		why := ""
		switch {
		case tooLong:
			why = fmt.Sprintf("is longer than %d bytes", maxLine)
		case err == io.EOF:
			why = "is cut off"
		case !bytes.HasPrefix(b, []byte("{")) || !utf8.Valid(b) || !json.Valid(b):
			why = "is not one JSON object"
		}
		if why != "" && odd == nil {
			odd = &lineError{res.records + 1, why}
		}
		if err == io.EOF {
			break
		}
		res.records++
		long, tooLong = long[:0], false
	}
	res.plain = hex.EncodeToString(h.Sum(nil))
	if odd != nil {
		return odd
	}
	return nil
}

// bounded hashes and counts what passes and stops after left bytes, so that a small
// file cannot decompress to a large one.
type bounded struct {
	r    io.Reader
	left int64
	h    hash.Hash
	n    *int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p[:min(int64(len(p)), b.left+1)])
	if int64(n) > b.left {
		return 0, errTooLong
	}
	b.left -= int64(n)
	*b.n += int64(n)
	b.h.Write(p[:n])
	return n, err
}

// patient stops reading when ctx ends.
type patient struct {
	ctx context.Context
	r   io.Reader
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}
