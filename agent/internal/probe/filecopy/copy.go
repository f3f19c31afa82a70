package filecopy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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
	opened  bool
	info    tree.Info // opened or last: before or after reading
	noatime bool
	from    int64

	b []byte

	last      bool
	cut       bool
	stability string
	err       error
}

// copy writes the lines of one file and returns how many bytes were copied, and whether
// there is a copy at all. An error is the writer's; what went wrong in reading stands in
// the lines.
func (c *copier) copy(ctx context.Context, f *record.CopyFile, m match, r Row, limit int64) (copied int64, ok bool, err error) {
	mine, stop := context.WithCancel(ctx)
	defer stop()
	parts := make(chan got)
	go c.fetch(mine, m, r, limit, parts)
	late := time.NewTimer(c.patience)
	defer late.Stop()
	wait := func() got {
		late.Reset(c.patience)
		select {
		case p := <-parts:
			return p
		case <-late.C:
			c.patience = max(c.patience/2, minPatience)
			return got{err: errSilent, last: true, stability: record.StableUnknown}
		case <-ctx.Done():
			return got{err: ctx.Err(), last: true, stability: record.StableUnknown}
		}
	}
	p := wait()
	if !p.opened {
		if f.Unread = tree.Why(p.err); errors.Is(p.err, errSilent) {
			f.Unread = "silent"
		} else if ctx.Err() != nil {
			f.Unread = "time"
		}
		f.Problem = problem(p.err)
		c.o.Miss(p.err)
		return 0, false, c.o.Write(f)
	}
	path := "/" + tree.Join(m.dir, m.name)
	f.FileTimes = p.info.Record(path[1:], "")
	f.Blocks, f.NoATime, f.From = p.info.Blocks, p.noatime, p.from
	if err := c.o.Write(f); err != nil {
		return 0, false, err
	}
	end := record.CopyEnd{Part: record.PartEnd, File: f.File}
	sum := sha256.New()
	data := record.CopyData{Part: record.PartData, File: f.File}
	for !p.last {
		p = wait()
		if len(p.b) > 0 {
			sum.Write(p.b)
			data.Offset, data.Data = f.From+end.Copied, p.b
			if err := c.o.Write(&data); err != nil {
				return end.Copied, false, err
			}
			end.Copied += int64(len(p.b))
		}
	}
	end.SHA256 = hex.EncodeToString(sum.Sum(nil))
	end.Cut, end.Stability = p.cut, p.stability
	end.SizeAfter, end.AccessedAfter, end.ModifiedAfter, end.ChangedAfter = p.info.Size, p.info.A, p.info.M, p.info.C
	if p.err != nil {
		end.Problem = problem(p.err)
		c.o.Miss(fmt.Errorf("copy %s: %w", path, p.err))
	} else if p.cut {
		c.o.Miss(fmt.Errorf("%s is longer than what is copied", path))
	}
	return end.Copied, true, c.o.Write(&end)
}

// fetch opens and reads a file, which may never answer, and sends what comes of it until
// ctx ends. A piece is valid until the next one is taken.
func (c *copier) fetch(ctx context.Context, m match, r Row, limit int64, parts chan<- got) {
	defer background.Enter(ctx)()
	send := func(p got) (more bool) {
		select {
		case parts <- p:
			return !p.last
		case <-ctx.Done():
			return false
		}
	}
	d, err := c.t.Dir(m.dir)
	if err == nil && d.Path != m.dir {
		d.Close()
		err = tree.ErrReplaced
	}
	if err != nil {
		send(got{err: err, last: true})
		return
	}
	defer d.Close()
	f, err := d.Open(m.name)
	if err != nil {
		send(got{err: err, last: true})
		return
	}
	defer f.Close()
	size := f.Info.Size
	from := start(size, limit, m.name, r)
	end := min(size, from+limit)
	if !send(got{opened: true, info: f.Info, noatime: f.NoATime, from: from}) {
		return
	}
	if c.during != nil {
		c.during(tree.Join(m.dir, m.name))
	}
	var bufs [2][]byte // one is written out while the other is filled
	last := got{last: true, cut: from > 0 || end < size}
	for i, at := 0, from; at < end; i++ {
		n := min(piece, end-at)
		if bufs[i%2] == nil {
			bufs[i%2] = make([]byte, n)
		}
		k, err := f.ReadAt(bufs[i%2][:n], at)
		at += int64(k)
		if k > 0 && !send(got{b: bufs[i%2][:k]}) {
			return
		}
		if errors.Is(err, io.EOF) { // it is shorter now
			break
		}
		if err != nil {
			last.err = err
			break
		}
	}
	now, named, err := f.Again()
	last.info, last.stability = now, stability(f.Info, now, named, err)
	send(last)
}

// start is where the copy begins.
func start(size, limit int64, name string, r Row) int64 {
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
	for _, end := range []string{".gz", ".xz", ".zst", ".bz2", ".lz4", ".db"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// stability says what a file did between two looks. err is that of its name.
func stability(before, now tree.Info, named bool, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return record.StableRemoved
	case err != nil:
		return record.StableUnknown
	case !named:
		return record.StableReplaced
	case now.Size > before.Size:
		return record.StableGrew
	case now.Size != before.Size, !now.M.Equal(before.M), !now.C.Equal(before.C):
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
