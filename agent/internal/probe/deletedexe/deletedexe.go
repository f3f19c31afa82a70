package deletedexe

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"hozen/agent/internal/background"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
	"hozen/agent/internal/probe/touch"
	"hozen/agent/internal/sorted"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	// piece is how much stands in one line.
	piece = 192 << 10
	// maxFile and maxAll bound what is saved, in bytes.
	maxFile = 32 << 20
	maxAll  = 64 << 20
)

// Of a file that does not answer nothing is waited for longer than this; each time that
// happened the next one has half of it, because whoever has one such file may have many.
const (
	maxPatience = 2 * time.Second
	minPatience = 100 * time.Millisecond
)

var errSilent = errors.New("it does not answer")

// file is one executable and who runs it.
type file struct {
	rec record.DeletedFile
	uid int64 // of the first of its processes
	// turn is how many bytes its user has had saved with it.
	turn int64
}

type reader struct {
	pass            *scan.Pass
	maxFile, maxAll int64
	// open is replaced in tests.
	open func(f *file) (io.ReadCloser, error)
}

// New returns the probe that saves the executables without a name of the processes of
// pass.
func New(pass *scan.Pass) probe.Probe { return reader{pass, maxFile, maxAll, open} }

func (reader) Kind() artifact.Kind          { return artifact.KindDeletedExe }
func (reader) Schema() string               { return record.SchemaDeletedExe }
func (reader) Volatility() probe.Volatility { return probe.Handles }

// Acquire writes the lines of one file after the other.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	files, err := find(ctx, r.pass)
	var skipped int64
	if m := probe.AsMissing(err); m != nil {
		skipped, err = m.Skipped, m.Err
	} else if err != nil && len(files) == 0 {
		return err
	}
	r.inTurn(files)
	return r.write(ctx, w, files, skipped, err)
}

// inTurn puts the smallest files first, and lets users take turns by bytes: those of one
// take no room from those of another.
func (r reader) inTurn(files []*file) {
	sorted.StableFunc(files, func(a, b *file) int { return cmp.Compare(a.rec.Size, b.rec.Size) })
	used := make(map[int64]int64) // by user
	for _, f := range files {
		used[f.uid] += min(f.rec.Size, r.maxFile)
		f.turn = used[f.uid]
	}
	sorted.StableFunc(files, func(a, b *file) int { return cmp.Compare(a.turn, b.turn) })
}

// write saves files as far as there is room. skipped are those that could not be found,
// first is why.
func (r reader) write(ctx context.Context, w probe.Writer, files []*file, skipped int64, first error) error {
	left, patience := r.maxAll, maxPatience
	for i, f := range files {
		if ctx.Err() != nil {
			skipped += int64(len(files) - i)
			break
		}
		f.rec.Part, f.rec.File = record.PartFile, i
		end, silent, err := r.save(ctx, w, f, min(left, r.maxFile), patience)
		if err != nil {
			return err
		}
		if silent {
			patience = max(patience/2, minPatience)
		}
		left -= end.Copied
		if end.Cut || end.Problem != "" {
			skipped++
			first = cmp.Or(first, errors.New(cmp.Or(end.Problem, "longer than what is saved")))
		}
	}
	if err := cmp.Or(ctx.Err(), first); skipped > 0 || err != nil {
		return &probe.Missing{Skipped: skipped, Err: fmt.Errorf("save executables: %w", err)}
	}
	return nil
}

// save writes the lines of one file. An error is the writer's; what went wrong in reading
// stands in the last line. silent says that the file did not answer for patience.
func (r reader) save(ctx context.Context, w probe.Writer, f *file, limit int64, patience time.Duration) (end *record.DeletedEnd, silent bool, err error) {
	end = &record.DeletedEnd{Part: record.PartEnd, File: f.rec.File}
	if err := w.Write(&f.rec); err != nil {
		return end, false, err
	}
	mine, stop := context.WithCancel(ctx)
	defer stop()
	parts := make(chan part)
	go r.fetch(mine, f, limit, parts)
	sum := sha256.New()
	data := record.DeletedData{Part: record.PartData, File: f.rec.File}
	late := time.NewTimer(patience)
	defer late.Stop()
	for last := false; !last; {
		var p part
		late.Reset(patience)
		select {
		case p = <-parts:
		case <-late.C:
			p, silent = part{err: errSilent, last: true}, true
		case <-ctx.Done():
			p = part{err: ctx.Err(), last: true}
		}
		if len(p.b) > 0 {
			sum.Write(p.b)
			data.Offset, data.Data = end.Copied, p.b
			if err := w.Write(&data); err != nil {
				return end, silent, err
			}
			end.Copied += int64(len(p.b))
		}
		if p.err != nil {
			end.Problem = problem(p.err)
		}
		end.Cut, last = p.cut, p.last
	}
	end.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return end, silent, w.Write(end)
}

// part is a piece of a file, or how its reading ended.
type part struct {
	b         []byte
	err       error
	cut, last bool
}

// fetch reads a file, which may never answer, and sends its parts until ctx ends. A part
// is valid until the next one is taken.
func (r reader) fetch(ctx context.Context, f *file, limit int64, parts chan<- part) {
	defer background.Enter(ctx)()
	send := func(p part) (more bool) {
		select {
		case parts <- p:
			return !p.last
		case <-ctx.Done():
			return false
		}
	}
	src, err := r.open(f)
	if err != nil {
		send(part{err: err, last: true})
		return
	}
	defer src.Close()
	touch.Of(ctx).One()
	var bufs [2][]byte // one is written out while the other is filled
	for i := range bufs {
		bufs[i] = make([]byte, min(piece, limit+1))
	}
	for i, more := 0, true; more; i++ {
		n, err := io.ReadFull(src, bufs[i%2][:min(piece, limit+1)]) // one more tells whether there is more
		var p part
		if over := int64(n) - limit; over > 0 {
			n -= int(over)
			p.cut, p.last = true, true
		}
		limit -= int64(n)
		p.b = bufs[i%2][:n]
		switch {
		case p.last:
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			p.last = true
		case err != nil:
			p.err, p.last = err, true
		}
		more = send(p)
	}
}

// problem says in few words what went wrong; the path stands in the record.
func problem(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	text, _ := record.TextOf(err.Error())
	return text
}
