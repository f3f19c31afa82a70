package filecopy

import (
	"context"
	"errors"
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
	p := partOf(kind)
	if p == nil {
		return nil
	}
	return p.probe(root, func(ctx context.Context, c *copier) error {
		c.scope = scope
		return c.table(ctx)
	})
}

// Found is a kind whose files are found otherwise than by patterns.
type Found struct {
	Kind   artifact.Kind
	Schema string
	// Row says what is looked for; its pattern is for people.
	Row Row
	// Find returns the paths, relative to the root and without links. What it returns beside an
	// error is copied.
	Find func(ctx context.Context) ([]string, error)
}

// Probe returns the probe that copies what is found below root.
func (f *Found) Probe(root string) probe.Probe {
	p := &part{f.Kind, f.Schema, []*Row{&f.Row}, f.Row.All}
	return p.probe(root, func(ctx context.Context, c *copier) error {
		paths, err := f.Find(ctx)
		c.o.Miss(err)
		x := &expander{c: c, ctx: ctx, row: &f.Row, room: maxMatches}
		for _, path := range paths {
			x.named(path)
		}
		if err := c.row(ctx, 0, x.list, "done"); err != nil {
			return err
		}
		return c.close(ctx)
	})
}

func (p *part) probe(root string, read func(ctx context.Context, c *copier) error) probe.Probe {
	return facts.New(facts.Config{
		Kind: p.kind, Schema: p.schema, Volatility: probe.Derivable, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error {
			t, err := tree.In(ctx, root)
			if err != nil {
				return err
			}
			return read(ctx, newCopier(p, t, o))
		},
	})
}

// copier copies the files of one kind.
type copier struct {
	*part
	scope    Scope
	t        *tree.Tree
	o        *facts.Out
	left     int64 // bytes of all
	patience time.Duration
	seen     map[string]bool // paths
	files    int
	lines    []*record.CopyRow
	homes    []string
	asked    bool // for the homes
	// during is called while a file is read, for tests. Optional.
	during func(path string)
}

func newCopier(p *part, t *tree.Tree, o *facts.Out) *copier {
	return &copier{part: p, t: t, o: o, left: p.all, patience: maxPatience, seen: make(map[string]bool)}
}

// table copies what the rows of the table match.
func (c *copier) table(ctx context.Context) error {
	for i, r := range c.rows {
		state := "done"
		var list []*match
		switch {
		case r.Private && !c.scope.Private, c.kind == artifact.KindHistory && c.scope.NoHistories:
			state = "excluded"
		case ctx.Err() != nil:
			state = "time"
		default:
			list = c.match(ctx, r)
		}
		if err := c.row(ctx, i, list, state); err != nil {
			return err
		}
	}
	return c.close(ctx)
}

// close tells of the rows. Where every folder was refused there is nothing to tell but
// that, which is the outcome.
func (c *copier) close(ctx context.Context) error {
	if c.files > 0 || !c.o.Refused() {
		for _, line := range c.lines {
			if err := c.o.Write(line); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// row copies files as far as there is room: the newest first, and those of different homes
// in turns by bytes, so that nobody's many files keep out another's.
func (c *copier) row(ctx context.Context, i int, list []*match, state string) error {
	r := c.rows[i]
	line := &record.CopyRow{Part: record.PartRow, Row: i, Class: r.Class, Pattern: r.Pattern, Max: r.Max, All: r.All, Keep: "start", Private: r.Private, State: state, Why: r.Why}
	if r.End {
		line.Keep = "end"
	} else if r.Names {
		line.Keep = "names"
	}
	c.lines = append(c.lines, line)
	sorted.StableFunc(list, func(a, b *match) int { return b.info.M.Time().Compare(a.info.M.Time()) })
	used := make(map[string]int64) // by home
	for _, m := range list {
		used[m.home] += min(m.info.Size, r.Max) + 1
		m.turn = used[m.home]
	}
	sorted.StableFunc(list, func(a, b *match) int { return int(min(max(a.turn-b.turn, -1), 1)) })
	for _, m := range list {
		if c.seen[m.path] {
			continue
		}
		c.seen[m.path] = true
		line.Found++
		if err := c.one(ctx, m, r, line); err != nil {
			return err
		}
	}
	return nil
}

// one tells of a file and copies it if it is to be.
func (c *copier) one(ctx context.Context, m *match, r *Row, line *record.CopyRow) error {
	f := &record.CopyFile{Part: record.PartFile, File: c.files, Row: line.Row, Class: r.Class, Blocks: m.info.Blocks}
	m.info.Record(&f.FileTimes, m.path, m.target)
	c.files++
	limit := min(r.Max, r.All-line.Bytes, c.left)
	switch {
	case m.info.IsLink():
		f.Unread = "link"
	case r.Names:
		f.Unread = "names_only"
	case !m.info.IsFile():
		f.Unread = "not_regular"
	case ctx.Err() != nil:
		f.Unread = "time"
	case limit <= 0:
		f.Unread = "no_room"
		c.o.Miss(tree.At(m.path, tree.ErrMany))
	default:
		n, ok, err := c.copy(ctx, f, m, r, limit)
		line.Bytes += n
		c.left -= n
		if ok {
			line.Copied++
		}
		return err
	}
	return c.o.Write(f)
}
