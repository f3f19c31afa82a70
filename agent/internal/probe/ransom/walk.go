package ransom

import (
	"context"
	"errors"
	"strings"
	"time"

	"hozen/agent/internal/probe/tree"
	"hozen/internal/artifact/record"
)

const (
	// namesOf is how many names of one folder are looked at, and deep how deep a tree is.
	namesOf = 200_000
	deep    = 24
	// systems are folders of the root that hold the system, and nothing that people keep.
	systems = "bin sbin lib lib32 lib64 libx32 usr etc boot dev proc sys run snap tmp lost+found nix gnu ostree"
	// inVar are the folders of /var that hold what people keep.
	inVar = "var/www var/backups var/mail var/spool/mail var/lib/mysql var/lib/postgresql var/lib/libvirt/images var/nfs var/ftp"
)

type walker struct {
	ctx  context.Context // of the tree
	s    *seen
	left int64
	tree *count
	done map[string]bool // paths of trees
	held tree.Held
	cut  bool // folders of the tree were left out, because too many names would be held
}

// walk looks at the files that people keep: at most so many.
func walk(ctx context.Context, root string, most, now int64) (*seen, error) {
	t, err := tree.In(ctx, root)
	if err != nil {
		return nil, err
	}
	top, err := t.Dir("")
	if err != nil {
		return nil, err
	}
	defer top.Close()
	s := &seen{now: now, extensions: make(map[string]*count), names: make(map[string]*name)}
	w := &walker{s: s, tree: new(count), done: make(map[string]bool)}
	list, _, err := top.Names(namesOf)
	w.miss(err)
	var paths []string
	var st tree.Info
	for _, n := range list {
		if !tree.OneOf(n, systems) && n != "root" && n != "var" && top.Stat(n, &st) == nil && (st.IsDir() || st.IsLink()) {
			paths = append(paths, n)
		}
	}
	paths = append(append(paths, strings.Fields(inVar)...), "root")
	for i, p := range paths {
		// Half of what there is at most: no tree takes the turn of all others.
		mine, cancel := context.WithCancel(ctx)
		w.left = most
		if end, ok := ctx.Deadline(); ok && i < len(paths)-1 {
			cancel()
			mine, cancel = context.WithDeadline(ctx, time.Now().Add(time.Until(end)/2))
			w.left = most / 2
		}
		w.ctx = mine
		most -= w.left
		w.one(t, p)
		most += w.left
		cancel()
	}
	return s, nil
}

func (w *walker) miss(err error) {
	if err == nil || tree.Why(err) == "gone" || errors.Is(err, tree.ErrForeign) {
		return
	}
	w.tree.Unread++
	if w.s.missed++; w.s.first == nil {
		w.s.first = err
	}
}

// one looks at a tree, wherever the system's own links lead it.
func (w *walker) one(t *tree.Tree, path string) {
	w.tree = &count{Type: record.FileStatTree}
	w.tree.Name, w.tree.NameRaw = record.TextOf("/" + path)
	d, err := t.Dir(path)
	if err != nil {
		w.miss(err)
		return
	}
	defer d.Close()
	if first, _, _ := strings.Cut(d.Path, "/"); w.done[d.Path] || d.Path == "" || tree.OneOf(first, systems) {
		return
	}
	w.done[d.Path] = true
	w.cut = false
	w.folder(d, deep)
	w.s.trees = append(w.s.trees, w.tree)
	if w.tree.Ended != "" {
		w.miss(tree.At(path, tree.ErrMany))
	} else if w.cut {
		w.tree.Ended = "too_many"
	}
}

// folder looks at a folder and what is below it.
func (w *walker) folder(d *tree.Dir, depth int) {
	subs, all := w.held.Keep(w.files(d, depth))
	if !all {
		w.cut = true
		w.miss(tree.At(d.Path, tree.ErrMany))
	}
	for _, n := range subs {
		if w.over() {
			break
		}
		sub, err := d.Sub(n)
		if err == nil {
			w.folder(sub, depth-1)
			sub.Close()
		}
		w.miss(err)
	}
	w.held.Drop(subs)
}

// over reports whether the tree has used up its time or its entries.
func (w *walker) over() bool {
	if w.ctx.Err() != nil {
		w.tree.Ended = "time"
	} else if w.left <= 0 {
		w.tree.Ended = "too_many"
	}
	return w.tree.Ended != ""
}

// files looks at the files in a folder and returns its folders. All other names are let go of before
// anybody descends.
func (w *walker) files(d *tree.Dir, depth int) (subs []string) {
	names, more, err := d.Names(namesOf)
	if depth <= 0 {
		names, more = nil, true
	}
	if more {
		err = tree.At(d.Path, tree.ErrMany)
	}
	w.miss(err)
	c := &count{Type: record.FileStatFolder}
	var st tree.Info
	for _, n := range names {
		if w.over() {
			break
		}
		w.left--
		if err = d.Stat(n, &st); err == nil && st.IsFile() {
			f := w.s.file(d.Path, n, &st)
			f.add(c)
			f.add(w.tree)
		} else if err == nil && st.IsDir() {
			subs = append(subs, n)
		}
		w.miss(err)
	}
	c.Name, c.NameRaw = record.TextOf("/" + d.Path)
	w.s.folder(c)
	return subs
}
