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

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
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

// file is one executable and who runs it.
type file struct{ rec record.DeletedFile }

type reader struct {
	pass            *scan.Pass
	maxFile, maxAll int64
}

// New returns the probe that saves the executables without a name of the processes of
// pass.
func New(pass *scan.Pass) probe.Probe { return reader{pass, maxFile, maxAll} }

func (reader) Kind() artifact.Kind          { return artifact.KindDeletedExe }
func (reader) Schema() string               { return record.SchemaDeletedExe }
func (reader) Volatility() probe.Volatility { return probe.Handles }

// Acquire writes the lines of one file after the other, the smallest file first.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	procs, err := r.pass.Processes(ctx)
	if len(procs) == 0 {
		return err
	}
	files, unread := find(ctx, procs)
	sorted.StableFunc(files, func(a, b *file) int { return cmp.Compare(a.rec.Size, b.rec.Size) })
	skipped := unread
	var first error
	if unread > 0 {
		first = fs.ErrPermission
	}
	left := r.maxAll
	for i, f := range files {
		if ctx.Err() != nil {
			return &probe.Missing{Skipped: skipped + int64(len(files)-i), Err: fmt.Errorf("save executables: %w", ctx.Err())}
		}
		f.rec.Part, f.rec.File = record.PartFile, i
		end, err := r.save(ctx, w, f, min(left, r.maxFile))
		if err != nil {
			return err
		}
		left -= end.Copied
		if end.Cut || end.Problem != "" {
			skipped++
			first = cmp.Or(first, errors.New(cmp.Or(end.Problem, "longer than what is saved")))
		}
	}
	if err := cmp.Or(ctx.Err(), first); skipped > 0 || ctx.Err() != nil {
		return &probe.Missing{Skipped: skipped, Err: fmt.Errorf("save executables: %w", err)}
	}
	return nil
}

// save writes the lines of one file. An error is the writer's; what went wrong in reading
// stands in the last line.
func (r reader) save(ctx context.Context, w probe.Writer, f *file, limit int64) (*record.DeletedEnd, error) {
	end := &record.DeletedEnd{Part: record.PartEnd, File: f.rec.File}
	if err := w.Write(&f.rec); err != nil {
		return end, err
	}
	src, err := open(f)
	if err != nil {
		end.Problem = problem(err)
		return end, w.Write(end)
	}
	defer src.Close()
	sum := sha256.New()
	data := record.DeletedData{Part: record.PartData, File: f.rec.File}
	buf := make([]byte, piece)
	for ctx.Err() == nil {
		n, err := io.ReadFull(src, buf[:min(piece, limit-end.Copied+1)]) // one more tells whether there is more
		if over := end.Copied + int64(n) - limit; over > 0 {
			n -= int(over)
			end.Cut = true
		}
		if n > 0 {
			sum.Write(buf[:n])
			data.Offset, data.Data = end.Copied, buf[:n]
			if err := w.Write(&data); err != nil {
				return end, err
			}
			end.Copied += int64(n)
		}
		if end.Cut || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			end.Problem = problem(err)
			break
		}
	}
	if err := ctx.Err(); err != nil {
		end.Problem = err.Error()
	}
	end.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return end, w.Write(end)
}

// problem says in few words what went wrong; the path stands in the record.
func problem(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	text, _ := record.TextOf(err.Error())
	return text
}
