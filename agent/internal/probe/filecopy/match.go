package filecopy

import (
	"context"
	"strings"

	"hozen/agent/internal/probe/tree"
)

const (
	// maxMatches is how many files of one home, or of the system, a row takes.
	maxMatches = 1024
	// maxRow is how many files a row takes from all homes.
	maxRow = 16384
	// maxNames is how many names of one folder are matched.
	maxNames = 16384
	// below is how deep "**" goes.
	below = 5
)

// match is a file that a row found.
type match struct {
	path   string // without links
	info   tree.Info
	target string // of a link
	home   string // in which it was found, else ""
	turn   int64
}

// match finds the files of a row.
func (c *copier) match(ctx context.Context, r *Row) []*match {
	x := &expander{c: c, ctx: ctx, row: r, room: maxMatches}
	for _, pattern := range strings.Fields(r.Pattern) {
		rest := strings.Split(pattern, "/")
		switch rest[0] {
		case "~":
			for _, h := range c.reachable() {
				x.base(h, h, rest[1:])
			}
		case "@":
			for _, p := range c.t.Local() {
				x.base(p, "", rest[1:])
			}
		default: // the system's own links among the folders that are given by name are followed
			n := 0
			for n < len(rest)-1 && !wild(rest[n]) {
				n++
			}
			x.base(strings.Join(rest[:n], "/"), "", rest[n:])
		}
	}
	return x.list
}

// reachable lists the homes that can be looked into; those that cannot are missed once.
func (c *copier) reachable() []string {
	if c.asked {
		return c.homes
	}
	c.asked = true
	homes, err := c.t.Homes()
	c.o.Miss(err)
	for _, h := range homes {
		d, err := c.t.Dir(h)
		if c.o.Miss(err); err == nil {
			c.homes = append(c.homes, h)
			d.Close()
		}
	}
	return c.homes
}

func wild(part string) bool { return strings.ContainsAny(part, "*?") }

// expander finds what the patterns of a row match.
type expander struct {
	c    *copier
	ctx  context.Context
	row  *Row
	list []*match
	home string
	room int            // of this home, or of the system
	used map[string]int // by homes
}

// base matches the rest of a pattern in one folder.
func (x *expander) base(dir, home string, rest []string) {
	d, err := x.c.t.Dir(dir)
	if err != nil {
		x.c.o.Miss(err)
		return
	}
	defer d.Close()
	before := len(x.list)
	x.home, x.room = home, min(maxMatches-x.used[home], maxRow-before)
	x.expand(d, rest, below)
	if x.used == nil {
		x.used = make(map[string]int)
	}
	x.used[home] += len(x.list) - before
}

// named takes the file at a path. Whoever made the file chose its name, so that no byte of it
// is a pattern: a file called "**" would else stand for all others.
func (x *expander) named(path string) {
	dir, name := tree.Split(path)
	d, err := x.c.t.Dir(dir)
	if err != nil {
		x.c.o.Miss(err)
		return
	}
	defer d.Close()
	x.one(d, name, []string{""}, 0)
}

// expand matches the first of rest with what is in a folder. depth is how deep "**" still
// goes.
func (x *expander) expand(d *tree.Dir, rest []string, depth int) {
	names := rest[:1]
	if wild(rest[0]) {
		var more bool
		var err error
		if names, more, err = d.Names(maxNames); more {
			err = tree.At(d.Path, tree.ErrMany)
		}
		x.c.o.Miss(err)
	}
	for _, n := range names {
		if x.ctx.Err() != nil || x.room < 0 {
			return
		}
		if tree.Match(rest[0], n) {
			x.one(d, n, rest, depth)
		}
	}
}

// one looks at a name that matches the first of rest, of which only "**" means something
// here.
func (x *expander) one(d *tree.Dir, name string, rest []string, depth int) {
	m := &match{path: tree.Join(d.Path, name), home: x.home}
	err := d.Stat(name, &m.info)
	all := rest[0] == "**"
	switch {
	case err != nil:
	case m.info.IsLink(): // also in the place of a folder; it is told, and not followed
		m.target, _ = d.Readlink(name)
		x.add(m)
	case !m.info.IsDir() && len(rest) > 1, m.info.IsDir() && len(rest) == 1 && !all && !x.row.Names:
	case !m.info.IsDir() || len(rest) == 1 && !all:
		x.add(m)
	case all && depth <= 1:
		err = tree.At(m.path, tree.ErrMany)
	default:
		var sub *tree.Dir
		if sub, err = d.Sub(name); err == nil {
			if !all {
				rest = rest[1:]
			}
			x.expand(sub, rest, depth-1)
			sub.Close()
		}
	}
	x.c.o.Miss(err)
}

func (x *expander) add(m *match) {
	if x.room == 0 {
		x.c.o.Miss(tree.At(m.path, tree.ErrMany))
	}
	if x.room--; x.room >= 0 {
		x.list = append(x.list, m)
	}
}
