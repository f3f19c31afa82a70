package filecopy

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"hozen/agent/internal/probe/tree"
)

const (
	// maxMatches is how many files of one home, or of the system, a row takes.
	maxMatches = 1024
	// maxNames is how many names of one folder are matched.
	maxNames = 16384
	// below is how deep "**" goes.
	below = 5
)

// match is a file that a row found.
type match struct {
	dir, name string // dir without links
	info      tree.Info
	target    string // of a link
	home      string // in which it was found, else ""
	turn      int64
}

// look makes a match of a path.
func (c *copier) look(p string) (match, error) {
	m := match{}
	m.dir, m.name = tree.Split(p)
	d, err := c.t.Dir(m.dir)
	if err != nil {
		return m, err
	}
	defer d.Close()
	m.dir = d.Path
	m.info, err = d.Stat(m.name)
	return m, err
}

// match finds the files of a row.
func (c *copier) match(ctx context.Context, r Row) (list []match) {
	for _, pattern := range strings.Fields(r.Pattern) {
		rest, inHomes := strings.CutPrefix(pattern, "~/")
		if !inHomes {
			dir, rest := fixed(pattern)
			c.base(ctx, dir, "", rest, &list)
			continue
		}
		if !c.asked {
			var err error
			c.homes, err = c.t.Homes()
			c.o.Miss(err)
			c.asked = true
		}
		for _, h := range c.homes {
			c.base(ctx, h, h, strings.Split(rest, "/"), &list)
		}
	}
	return list
}

// fixed cuts the folders that are given by name off a pattern: the system's own links
// among them are followed.
func fixed(pattern string) (dir string, rest []string) {
	rest = strings.Split(pattern, "/")
	n := 0
	for n < len(rest)-1 && !wild(rest[n]) {
		n++
	}
	return strings.Join(rest[:n], "/"), rest[n:]
}

func wild(part string) bool { return strings.ContainsAny(part, `*?[\`) }

// base matches the rest of a pattern in one folder.
func (c *copier) base(ctx context.Context, dir, home string, rest []string, list *[]match) {
	d, err := c.t.Dir(dir)
	if err != nil {
		c.o.Miss(err)
		return
	}
	defer d.Close()
	x := expander{c, ctx, home, list, maxMatches}
	x.expand(d, rest)
}

// expander finds what a pattern matches in one place.
type expander struct {
	c    *copier
	ctx  context.Context
	home string
	list *[]match
	room int
}

var errMany = errors.New("more files than what is copied")

func (x *expander) add(d *tree.Dir, name string, st tree.Info) {
	if x.room == 0 {
		x.c.o.Miss(fmt.Errorf("/%s: %w", d.Path, errMany))
	}
	if x.room--; x.room < 0 {
		return
	}
	m := match{dir: d.Path, name: name, info: st, home: x.home}
	if st.IsLink() {
		m.target, _ = d.Readlink(name)
	}
	*x.list = append(*x.list, m)
}

func (x *expander) expand(d *tree.Dir, rest []string) {
	part, last := rest[0], len(rest) == 1
	if !wild(part) {
		x.one(d, part, rest, last)
		return
	}
	if part == "**" {
		x.all(d, below)
		return
	}
	names, more, err := d.Names(maxNames)
	x.c.o.Miss(err)
	if more {
		x.c.o.Miss(fmt.Errorf("/%s: more than %d names", d.Path, maxNames))
	}
	for _, n := range names {
		if ok, _ := path.Match(part, n); ok && x.ctx.Err() == nil && x.room >= 0 {
			x.one(d, n, rest, last)
		}
	}
}

// one looks at a name that matches the first of rest.
func (x *expander) one(d *tree.Dir, name string, rest []string, last bool) {
	st, err := d.Stat(name)
	if err != nil {
		x.c.o.Miss(err)
		return
	}
	switch {
	case last && st.IsDir():
	case last, st.IsLink(): // a link in the place of a folder is told, and not followed
		x.add(d, name, st)
	case st.IsDir():
		sub, err := d.Sub(name)
		if err != nil {
			x.c.o.Miss(err)
			return
		}
		defer sub.Close()
		x.expand(sub, rest[1:])
	}
}

// all takes everything below a folder.
func (x *expander) all(d *tree.Dir, depth int) {
	names, more, err := d.Names(maxNames)
	x.c.o.Miss(err)
	if more {
		x.c.o.Miss(fmt.Errorf("/%s: more than %d names", d.Path, maxNames))
	}
	for _, n := range names {
		if x.ctx.Err() != nil || x.room < 0 {
			return
		}
		st, err := d.Stat(n)
		if err != nil {
			x.c.o.Miss(err)
			continue
		}
		if !st.IsDir() {
			x.add(d, n, st)
			continue
		}
		if depth <= 1 {
			x.c.o.Miss(fmt.Errorf("/%s: deeper than what is copied", tree.Join(d.Path, n)))
			continue
		}
		sub, err := d.Sub(n)
		if err != nil {
			x.c.o.Miss(err)
			continue
		}
		x.all(sub, depth-1)
		sub.Close()
	}
}
