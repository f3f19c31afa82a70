package filecopy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/tree"
	"hozen/agent/internal/sorted"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Scope is what an organisation lets be copied of people's own.
type Scope struct {
	// Private lets private rows of the table be copied.
	Private bool
	// NoHistories leaves the histories of shells and tools out.
	NoHistories bool
}

// Of a file that does not answer nothing is waited for longer than this; each time that
// happened the next one has half of it. A disk that others use much may be slow: reading
// gives way to them.
const (
	maxPatience = 10 * time.Second
	minPatience = 2 * time.Second
)

var errSilent = errors.New("it does not answer")

// New returns the probe of a kind of the table; nil when there is none. root is usually
// "/".
func New(kind artifact.Kind, root string, scope Scope) probe.Probe {
	for _, p := range parts() {
		if p.kind == kind {
			return p.probe(root, scope, nil)
		}
	}
	return nil
}

// Found is a kind whose files are found otherwise than by patterns.
type Found struct {
	Kind   artifact.Kind
	Schema string
	// Row says what is looked for; its pattern is for people.
	Row Row
	// All bounds what is copied, in bytes.
	All int64
	// Find returns the paths, relative to the root and without links. What it returns beside an
	// error is copied.
	Find func(ctx context.Context) ([]string, error)
}

// Probe returns the probe that copies what is found below root.
func (f Found) Probe(root string) probe.Probe {
	return part{f.Kind, f.Schema, []Row{f.Row}, f.All}.probe(root, Scope{}, f.Find)
}

func (p part) probe(root string, scope Scope, find func(context.Context) ([]string, error)) probe.Probe {
	return facts.New(facts.Config{
		Kind: p.kind, Schema: p.schema, Volatility: probe.Derivable, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error {
			t, err := tree.Open(root)
			if err != nil {
				return err
			}
			c := copier{part: p, scope: scope, t: t, o: o, left: p.all, patience: maxPatience, seen: make(map[string]bool)}
			if find == nil {
				return c.table(ctx)
			}
			return c.found(ctx, find)
		},
	})
}

// copier copies the files of one kind.
type copier struct {
	part
	scope    Scope
	t        *tree.Tree
	o        *facts.Out
	left     int64 // bytes of all
	patience time.Duration
	seen     map[string]bool // paths
	files    int
	rows     []record.CopyRow
	homes    []string
	asked    bool // for the homes
	// during is called while a file is read, for tests. Optional.
	during func(path string)
}

// table copies what the rows of the table match.
func (c *copier) table(ctx context.Context) error {
	for i, r := range c.part.rows {
		line := c.line(i, r)
		switch {
		case r.Private && !c.scope.Private, c.kind == artifact.KindHistory && c.scope.NoHistories:
			line.State = "excluded"
		case ctx.Err() != nil:
			line.State = "time"
		default:
			if err := c.row(ctx, r, &line, c.match(ctx, r)); err != nil {
				return err
			}
		}
		c.rows = append(c.rows, line)
	}
	return c.close(ctx)
}

// found copies what find finds.
func (c *copier) found(ctx context.Context, find func(context.Context) ([]string, error)) error {
	r := c.part.rows[0]
	line := c.line(0, r)
	paths, err := find(ctx)
	c.o.Miss(err)
	var list []match
	for _, p := range paths {
		if m, err := c.look(p); err == nil {
			list = append(list, m)
		} else {
			c.o.Miss(err)
		}
	}
	if err := c.row(ctx, r, &line, list); err != nil {
		return err
	}
	c.rows = append(c.rows, line)
	return c.close(ctx)
}

func (c *copier) line(i int, r Row) record.CopyRow {
	keep := "start"
	if r.End {
		keep = "end"
	}
	return record.CopyRow{Part: record.PartRow, Row: i, Class: r.Class, Pattern: r.Pattern, Max: r.Max, All: r.All, Keep: keep, Private: r.Private, State: "done", Why: r.Why}
}

// close tells of the rows. Where every folder was refused there is nothing to tell but
// that, which is the outcome.
func (c *copier) close(ctx context.Context) error {
	if c.files > 0 || !c.o.Refused() {
		for i := range c.rows {
			if err := c.o.Write(&c.rows[i]); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// row copies files as far as there is room: the newest first, and those of different homes
// in turns by bytes, so that nobody's many files keep out another's.
func (c *copier) row(ctx context.Context, r Row, line *record.CopyRow, list []match) error {
	sorted.StableFunc(list, func(a, b match) int { return b.info.M.Compare(a.info.M) })
	used := make(map[string]int64) // by home
	for i := range list {
		m := &list[i]
		used[m.home] += min(m.info.Size, r.Max) + 1
		m.turn = used[m.home]
	}
	sorted.StableFunc(list, func(a, b match) int { return cmp.Compare(a.turn, b.turn) })
	left := r.All
	for _, m := range list {
		path := tree.Join(m.dir, m.name)
		if c.seen[path] {
			continue
		}
		c.seen[path] = true
		line.Found++
		f := record.CopyFile{Part: record.PartFile, File: c.files, Row: line.Row, Class: r.Class, FileTimes: m.info.Record(path, m.target), Blocks: m.info.Blocks}
		c.files++
		switch {
		case m.info.IsLink():
			f.Unread = "link"
		case !m.info.IsFile():
			f.Unread = "not_regular"
		case ctx.Err() != nil:
			f.Unread = "time"
		case min(left, c.left) <= 0:
			f.Unread = "no_room"
			c.o.Miss(fmt.Errorf("/%s: no room for it", path))
		}
		if f.Unread != "" {
			if err := c.o.Write(&f); err != nil {
				return err
			}
			continue
		}
		n, ok, err := c.copy(ctx, &f, m, r, min(r.Max, left, c.left))
		if err != nil {
			return err
		}
		left -= n
		c.left -= n
		line.Bytes += n
		if ok {
			line.Copied++
		}
	}
	return nil
}
