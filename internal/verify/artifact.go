package verify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

const (
	// maxWindow bounds the memory that a compressed artifact can ask for.
	maxWindow = 8 << 20
	// maxHeld is up to which size an artifact is unpacked into memory, so that its readable
	// copies are held against it at once.
	maxHeld = 32 << 20
	// manyBytes is from which size on digests are made beside the reading.
	manyBytes = 8 << 20
)

// hands is what a worker keeps from one artifact to the next.
type hands struct {
	dec   *zstd.Decoder
	held  []byte
	pairs []pair
	sheet sheet
	each  func([]pair) // gets the lines that are objects; optional
}

// job is the check of one artifact and of its readable copies.
type job struct {
	c    *check
	e    *entry
	copy *copyOf // nil: none
	// results
	got      Artifact
	problems []Problem
	odd      bool // its lines are not in the form, and that is no problem here
	gone     bool // its bytes were disposed of
}

func (j *job) problem(code, format string, args ...any) {
	j.problems = append(j.problems, Problem{code, j.e.name, fmt.Sprintf(format, args...)})
}

// run checks the artifact against its entry, then the copies against the artifact.
func (j *job) run(ctx context.Context, w *hands) {
	j.got = Artifact{Name: j.e.name, Kind: j.e.kind, Stored: j.e.stored.sha256}
	if j.gone {
		if f, _, why := j.c.src.open(j.e.name); why == nil {
			_ = f.Close()
			j.problem(codeExtra, "it is said to be disposed of")
		}
		return
	}
	var t *sheet
	if j.copy != nil && j.copy.table != "" && j.e.plain.size <= maxHeld {
		t = &w.sheet
		t.begin(true)
	}
	held := j.artifact(ctx, w, t)
	j.got.OK = len(j.problems) == 0
	switch {
	case j.copy == nil || ctx.Err() != nil:
	case !j.e.isLines():
		j.copy.check(ctx, w)
	case !j.got.OK || held == nil || t != nil && !t.rows:
		j.copy.check(ctx, w)
	case j.odd:
		j.copy.compare(ctx, held, nil)
	default:
		j.copy.compare(ctx, held, t)
	}
}

// artifact checks the artifact alone. It returns what it unpacked to, if that was held.
func (j *job) artifact(ctx context.Context, w *hands, t *sheet) []byte {
	f, size, why := j.c.src.open(j.e.name)
	if why != nil {
		j.problem(why.Code, "%s", why.Detail)
		return nil
	}
	defer f.Close()
	if size != j.e.stored.size {
		j.problem(codeSize, "%d bytes are stored, the manifest says %d", size, j.e.stored.size)
		return nil // it is another file; its content says nothing
	}
	res, err := w.read(ctx, f, j.e, t)
	if ctx.Err() == nil {
		j.against(res, err)
	}
	return res.held
}

// against holds what was read against the manifest.
func (j *job) against(res contents, err error) {
	e := j.e
	j.got.Records = res.records
	if res.stored != e.stored.sha256 {
		j.problem(codeStored, "the stored bytes have the SHA-256 %s, the manifest says %s", res.stored, e.stored.sha256)
	}
	var bad *lineError
	switch {
	case errors.Is(err, errTooLong):
		j.problem(codeSize, "it decompresses to more than the %d bytes that the manifest says", e.plain.size)
		return
	case errors.As(err, &bad):
		if j.c.packed && res.stored == e.stored.sha256 && res.size == e.plain.size && res.plain == e.plain.sha256 && res.records == e.records {
			j.odd = true
			return
		}
		j.problem(codeLine, "%v", err)
		return
	case err != nil:
		j.problem(codeCompression, "%v", err)
		return
	}
	if res.size != e.plain.size {
		j.problem(codeSize, "it decompresses to %d bytes, the manifest says %d", res.size, e.plain.size)
	}
	if res.plain != e.plain.sha256 {
		j.problem(codePlain, "the decompressed bytes have the SHA-256 %s, the manifest says %s", res.plain, e.plain.sha256)
	}
	if res.records != e.records {
		j.problem(codeRecords, "%d records, the manifest says %d", res.records, e.records)
	}
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
	held          []byte // what is plain, where it was small enough; valid until the next artifact
}

// read reads stored bytes to their end, at most as many of what they decompress to as the
// entry says. The stored digest is of all bytes of r whatever the error. Lines go into
// the table, unless it is nil.
func (w *hands) read(ctx context.Context, r io.Reader, e *entry, t *sheet) (contents, error) {
	sumStored, sumPlain := sha256.New(), sha256.New()
	many := e.plain.size > manyBytes || e.stored.size > manyBytes
	if many {
		a, b := newBeside(), newBeside()
		defer a.close()
		defer b.close()
		sumStored, sumPlain = a, b
	}
	in := io.TeeReader(&patient{ctx, r}, sumStored)
	var res contents
	err := func() error {
		plain := in
		if e.compression == "zstd" {
			dec, err := w.decoder(in, many)
			if err != nil {
				return err
			}
			if many {
				defer dec.Close()
			}
			plain = dec
		}
		return res.read(&bounded{r: plain, left: e.plain.size, h: sumPlain, n: &res.size}, e, w, t)
	}()
	res.plain = hex.EncodeToString(sumPlain.Sum(nil))
	// What decompression left unread still counts for the digest.
	if _, rerr := io.Copy(io.Discard, in); rerr != nil && err == nil {
		err = rerr
	}
	res.stored = hex.EncodeToString(sumStored.Sum(nil))
	return res, err
}

// decoder returns a decoder for r. For many bytes it works on two processors, and the caller
// closes it.
func (w *hands) decoder(r io.Reader, many bool) (*zstd.Decoder, error) {
	if !many && w.dec != nil {
		return w.dec, w.dec.Reset(r)
	}
	n := 1
	if many {
		n = 2
	}
	dec, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(n), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow),
		zstd.IgnoreChecksum(true)) // the manifest's SHA-256 counts
	if err == nil && !many {
		w.dec = dec
	}
	return dec, err
}

func (w *hands) close() {
	if w.dec != nil {
		w.dec.Close()
	}
}

// read reads what is plain: JSON lines, each one object in UTF-8 that ends with a newline,
// or, in another form, bytes.
func (res *contents) read(r io.Reader, e *entry, w *hands, t *sheet) error {
	if !e.isLines() {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 256<<10))
		res.records = 1
		return err
	}
	l := &lines{res: res, w: w, t: t}
	if e.plain.size > maxHeld {
		return l.stream(r)
	}
	if int64(cap(w.held)) < e.plain.size+1 {
		w.held = make([]byte, e.plain.size+1)
	}
	n := 0
	for {
		m, err := r.Read(w.held[n : e.plain.size+1]) // bounded: it is never full
		if n += m; err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	res.held = w.held[:n]
	for b := res.held; len(b) > 0; {
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			l.cut()
			break
		}
		l.line(b[:end])
		b = b[end:]
	}
	return l.odd()
}

// lines counts lines and notes the first that is not in the form. Reading goes on after it,
// for digest and count are of all.
type lines struct {
	res  *contents
	w    *hands
	t    *sheet
	what *lineError
}

func (l *lines) line(b []byte) {
	var ok bool
	l.w.pairs, ok = readObject(b, l.w.pairs[:0])
	if l.res.records++; !ok {
		l.wrong(0, "is not one JSON object")
		return
	}
	if l.t != nil {
		l.t.line(l.w.pairs)
	}
	if l.w.each != nil {
		l.w.each(l.w.pairs)
	}
}

// cut notes that the last line has no end.
func (l *lines) cut() { l.wrong(1, "is cut off") }

func (l *lines) wrong(more int64, why string) {
	if l.what == nil {
		l.what = &lineError{l.res.records + more, why}
	}
}

func (l *lines) odd() error {
	if l.what == nil {
		return nil
	}
	return l.what
}

// stream reads lines that are too many to hold.
func (l *lines) stream(r io.Reader) error {
	buf := make([]byte, 0, 256<<10)
	tooLong := false
	for {
		if len(buf) == cap(buf) {
			if len(buf) > maxLine {
				tooLong, buf = true, buf[:0]
			} else {
				buf = append(make([]byte, 0, 2*cap(buf)), buf...)
			}
		}
		from := len(buf)
		n, err := r.Read(buf[from:cap(buf)])
		buf = buf[:from+n]
		rest := buf
		for searched := from; ; searched = 0 {
			end := bytes.IndexByte(rest[searched:], '\n') + 1
			if end == 0 {
				break
			}
			end += searched
			if tooLong = tooLong || end > maxLine; tooLong {
				l.w.each = nil // what is made of the lines ends here
				l.res.records++
				l.wrong(0, fmt.Sprintf("is longer than %d bytes", maxLine))
			} else {
				l.line(rest[:end])
			}
			tooLong, rest = false, rest[end:]
		}
		buf = buf[:copy(buf, rest)]
		switch {
		case errors.Is(err, io.EOF):
			if tooLong {
				l.wrong(1, fmt.Sprintf("is longer than %d bytes", maxLine))
			} else if len(buf) > 0 {
				l.cut()
			}
			return l.odd()
		case err != nil:
			return err
		}
	}
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

// work does the jobs on all processors, the largest first. The error is ctx's.
func work(ctx context.Context, jobs []*job) error {
	order := slices.Clone(jobs)
	slices.SortStableFunc(order, func(a, b *job) int { return cmp.Compare(b.e.plain.size, a.e.plain.size) })
	return each(ctx, len(order), func(w *hands, i int) { order[i].run(ctx, w) })
}
