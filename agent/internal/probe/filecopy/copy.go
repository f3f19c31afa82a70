package filecopy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"hozen/agent/internal/background"
	"hozen/agent/internal/probe/tree"
	"hozen/internal/artifact/record"
)

// piece is how much stands in one line.
const piece = 192 << 10

// got is what came of a file: how it was opened, a piece of it, or how it ended.
type got struct {
	opened  *tree.Info
	noatime bool
	from    int64

	b []byte

	last      bool
	cut       bool
	after     tree.Info
	stability string
	err       error
}

// copy writes the lines of one file and returns how many bytes were copied, and whether
// there is a copy at all. An error is the writer's; what went wrong in reading stands in
// the lines.
func (c *copier) copy(ctx context.Context, f *record.CopyFile, m *match, r *Row, limit int64) (copied int64, ok bool, err error) {
	mine, stop := context.WithCancel(ctx)
	defer stop()
	parts := make(chan *got)
	go c.fetch(mine, m, r, limit, parts)
	p := c.next(ctx, parts)
	if p.opened == nil {
		if f.Unread = tree.Why(p.err); errors.Is(p.err, errSilent) {
			f.Unread = "silent"
		} else if ctx.Err() != nil {
			f.Unread = "time"
		}
		f.Problem = problem(p.err)
		c.o.Miss(p.err)
		return 0, false, c.o.Write(f)
	}
	p.opened.Record(&f.FileTimes, m.path, "")
	f.Blocks, f.NoATime, f.From = p.opened.Blocks, p.noatime, p.from
	if err := c.o.Write(f); err != nil {
		return 0, false, err
	}
	sum := sha256.New()
	data := &record.CopyData{Part: record.PartData, File: f.File, Offset: f.From}
	for !p.last {
		if p = c.next(ctx, parts); len(p.b) > 0 {
			sum.Write(p.b)
			data.Data = p.b
			if err := c.o.Write(data); err != nil {
				return data.Offset - f.From, false, err
			}
			data.Offset += int64(len(p.b))
		}
	}
	end := &record.CopyEnd{Part: record.PartEnd, File: f.File, Copied: data.Offset - f.From, SHA256: hex.EncodeToString(sum.Sum(nil)), Cut: p.cut, Stability: p.stability}
	end.SizeAfter, end.AccessedAfter, end.ModifiedAfter, end.ChangedAfter = p.after.Size, p.after.A.Time(), p.after.M.Time(), p.after.C.Time()
	if p.err != nil {
		end.Problem = problem(p.err)
		c.o.Miss(p.err)
	} else if p.cut {
		c.o.Miss(tree.At(m.path, errLong))
	}
	return end.Copied, true, c.o.Write(end)
}

var (
	errLong    = errors.New("longer than what is copied")
	errShorter = errors.New("it got shorter while it was read")
)

// next waits for what comes of a file.
func (c *copier) next(ctx context.Context, parts <-chan *got) *got {
	late := time.NewTimer(c.patience)
	defer late.Stop()
	err := errSilent
	select {
	case p := <-parts:
		return p
	case <-late.C:
		c.patience = max(c.patience/2, minPatience)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return &got{err: err, last: true, stability: record.StableUnknown}
}

// fetch opens and reads a file, which may never answer, and sends what comes of it until
// ctx ends. A piece is valid until the next one is taken.
func (c *copier) fetch(ctx context.Context, m *match, r *Row, limit int64, parts chan<- *got) {
	defer background.Enter(ctx)()
	send := func(p *got) (more bool) {
		select {
		case parts <- p:
			return !p.last
		case <-ctx.Done():
			return false
		}
	}
	last := &got{last: true}
	f, err := c.open(m)
	if err != nil {
		last.err = err
		send(last)
		return
	}
	defer f.Dir.Close()
	defer f.Close()
	size := f.Info.Size
	from := start(size, limit, m.path, r)
	end := min(size, from+limit)
	if !send(&got{opened: &f.Info, noatime: f.NoATime, from: from}) {
		return
	}
	if c.during != nil {
		c.during(m.path)
	}
	before := f.Info
	var bufs [2][]byte // one is written out while the other is filled
	for i, at := 0, from; at < end; i++ {
		n := min(piece, end-at)
		if bufs[i%2] == nil {
			bufs[i%2] = make([]byte, n)
		}
		k, err := f.ReadAt(bufs[i%2][:n], at)
		at += int64(k)
		if k > 0 && !send(&got{b: bufs[i%2][:k]}) {
			return
		}
		if err != nil {
			if last.cut, last.err = true, err; errors.Is(err, io.EOF) {
				last.err = tree.At(m.path, errShorter)
			}
			break
		}
	}
	named, err := f.Again(&last.after)
	last.cut, last.stability = last.cut || from > 0 || end < size, stability(&before, &last.after, named, err)
	send(last)
}

// open opens the file that was found, and no other.
func (c *copier) open(m *match) (*tree.File, error) {
	dir, name := tree.Split(m.path)
	d, err := c.t.Dir(dir)
	if err != nil {
		return nil, err
	}
	if d.Path != dir {
		d.Close()
		return nil, tree.At(m.path, tree.ErrReplaced)
	}
	f, err := d.Open(name)
	if err != nil {
		d.Close()
	}
	return f, err
}

// start is where the copy begins.
func start(size, limit int64, name string, r *Row) int64 {
	if !r.End || size <= limit || packed(name) {
		return 0
	}
	from := size - limit
	if r.Unit > 1 {
		from = (from + r.Unit - 1) / r.Unit * r.Unit
	}
	return from
}

// packed reports whether the end of a file is of no use without its start.
func packed(name string) bool {
	return tree.OneOf(name[strings.LastIndexByte(name, '.')+1:], "gz xz zst bz2 lz4 db")
}

// stability says what a file did between two looks. err is that of its name.
func stability(before, now *tree.Info, named bool, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return record.StableRemoved
	case err != nil:
		return record.StableUnknown
	case !named:
		return record.StableReplaced
	case now.Size > before.Size:
		return record.StableGrew
	case now.Size != before.Size, now.M != before.M, now.C != before.C:
		return record.StableChanged
	}
	return record.StableSame
}

// problem says in few words what went wrong; the path stands in the record.
func problem(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	text, _ := record.TextOf(err.Error())
	return text
}
