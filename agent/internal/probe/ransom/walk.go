package ransom

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hozen/agent/internal/probe/tree"
	"hozen/internal/artifact/record"
)

const (
	// names is how many names of one folder are looked at, and deep how deep a tree is.
	namesOf = 200_000
	deep    = 24
	maxErrs = 64
)

// systems reports whether a folder of the root holds the system, and nothing that people keep.
func systems(name string) bool {
	switch name {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "boot", "dev", "proc", "sys", "run", "snap", "var", "tmp", "lost+found", "nix", "gnu", "ostree":
		return true
	}
	return false
}

// inVar are the folders of /var that hold what people keep.
func inVar() []string {
	return []string{"var/www", "var/backups", "var/mail", "var/spool/mail", "var/lib/mysql", "var/lib/postgresql", "var/lib/libvirt/images", "var/lib/samba/usershares", "var/nfs", "var/ftp"}
}

type walker struct {
	ctx   context.Context
	s     *seen
	left  int64
	tree  count
	ended string
}

// walk looks at the files that people keep.
func walk(ctx context.Context, root string, most int64, now time.Time) (*seen, error) {
	t, err := tree.Open(root)
	if err != nil {
		return nil, err
	}
	top, err := t.Dir("")
	if err != nil {
		return nil, err
	}
	defer top.Close()
	s := &seen{now: now, extensions: make(map[string]*count), names: make(map[string]*name)}
	w := &walker{ctx: ctx, s: s, left: most}
	list, _, err := top.Names(namesOf)
	w.miss(err)
	var paths []string
	for _, n := range list {
		if systems(n) || n == "root" {
			continue
		}
		st, err := top.Stat(n)
		if errors.Is(err, tree.ErrForeign) || err == nil && !st.IsDir() && !st.IsLink() {
			continue
		}
		if w.miss(err); err == nil {
			paths = append(paths, n)
		}
	}
	paths = append(append(paths, inVar()...), "root")
	walked := make(map[string]bool)
	for i, p := range paths {
		// Half of what there is at most: no tree takes the turn of all others.
		mine, cancel := ctx, context.CancelFunc(func() {})
		w.left = most
		if end, ok := ctx.Deadline(); ok && i < len(paths)-1 {
			mine, cancel = context.WithDeadline(ctx, time.Now().Add(time.Until(end)/2))
			w.left = most / 2
		}
		w.ctx = mine
		most -= w.one(t, p, walked)
		cancel()
	}
	return s, nil
}

func (w *walker) miss(err error) {
	if err == nil || tree.Why(err) == "gone" || errors.Is(err, tree.ErrForeign) {
		return
	}
	w.tree.Unread++
	if len(w.s.errs) < maxErrs {
		w.s.errs = append(w.s.errs, err)
	} else {
		w.s.missed++
	}
}

// one looks at a tree, wherever the system's own links lead it, and returns how many
// entries it has.
func (w *walker) one(t *tree.Tree, path string, walked map[string]bool) int64 {
	had := w.left
	w.tree, w.ended = count{Type: record.FileStatTree}, ""
	w.tree.Name, w.tree.NameRaw = record.TextOf("/" + path)
	d, err := t.Dir(path)
	if err != nil {
		w.miss(err)
		return 0
	}
	defer d.Close()
	if first, _, _ := cut(d.Path); walked[d.Path] || d.Path == "" || d.Path != path && systems(first) && first != "var" {
		return 0
	}
	walked[d.Path] = true
	w.folder(d, deep)
	w.tree.Ended = w.ended
	w.s.trees = append(w.s.trees, w.tree)
	if w.ended != "" {
		w.miss(fmt.Errorf("/%s: not all of it was looked at (%s)", path, w.ended))
	}
	return had - w.left
}

func cut(path string) (first, rest string, ok bool) {
	for i := range len(path) {
		if path[i] == '/' {
			return path[:i], path[i+1:], true
		}
	}
	return path, "", false
}

// folder looks at a folder and what is below it.
func (w *walker) folder(d *tree.Dir, depth int) {
	names, more, err := d.Names(namesOf)
	w.miss(err)
	if more {
		w.miss(fmt.Errorf("/%s: more than %d names", d.Path, namesOf))
	}
	c := count{Type: record.FileStatFolder}
	for _, n := range names {
		switch {
		case w.ctx.Err() != nil:
			w.ended = "time"
		case w.left <= 0:
			w.ended = "too_many"
		}
		if w.ended != "" {
			break
		}
		w.left--
		st, err := d.Stat(n)
		if err != nil {
			w.miss(err)
			continue
		}
		if st.IsFile() {
			f := file{size: st.Size, mod: st.M, chg: st.C}
			f.doubled = w.s.file(d.Path, n, f)
			add(&c, f, w.s.now)
			add(&w.tree, f, w.s.now)
			continue
		}
		if !st.IsDir() {
			continue
		}
		if depth <= 1 {
			w.miss(fmt.Errorf("/%s: deeper than what is looked at", tree.Join(d.Path, n)))
			continue
		}
		sub, err := d.Sub(n)
		if err != nil {
			w.miss(err)
			continue
		}
		w.folder(sub, depth-1)
		sub.Close()
	}
	c.Name, c.NameRaw = record.TextOf("/" + d.Path)
	w.s.folder(c)
}
