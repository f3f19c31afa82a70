package bodyfile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/tree"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Config bounds a probe.
type Config struct {
	// Root is where the system's files lie, usually "/".
	Root string
	// Private lets the names of files in homes be told, and lets folders be entered in which
	// only private things lie.
	Private bool
	// MaxTree and MaxAll are how many entries of one tree, and of all, are told. Default
	// 50,000 and 250,000.
	MaxTree, MaxAll int64
	// MaxNames is how many names of one folder are told. Default 50,000.
	MaxNames int
}

// New returns the probe.
func New(c Config) probe.Probe {
	if c.MaxTree <= 0 {
		c.MaxTree = 50_000
	}
	if c.MaxAll <= 0 {
		c.MaxAll = 250_000
	}
	if c.MaxNames <= 0 {
		c.MaxNames = 50_000
	}
	return facts.New(facts.Config{
		Kind: artifact.KindBodyFile, Schema: record.SchemaBodyFile, Volatility: probe.Derivable, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error { return read(ctx, c, o) },
	})
}

// walked is a tree to walk.
type walked struct {
	path  string
	depth int // folders that are entered, one below the other
	home  bool
}

// trees are those of the system; homes come after them.
func trees() []walked {
	return []walked{
		{"tmp", 8, false}, {"var/tmp", 8, false}, {"dev/shm", 8, false}, {"run/user", 4, false},
		{"etc", 8, false}, {"root", 6, false}, {"boot", 4, false},
		{"usr/bin", 1, false}, {"usr/sbin", 1, false}, {"bin", 1, false}, {"sbin", 1, false},
		{"usr/lib/systemd", 4, false}, {"usr/lib/security", 2, false}, {"usr/libexec", 4, false}, {"run/systemd", 5, false},
		{"var/spool/cron", 4, false}, {"var/spool/at", 3, false}, {"var/log", 6, false}, {"var/lib/dpkg/info", 1, false},
		{"usr/local", 10, false}, {"var/www", 10, false}, {"srv", 8, false}, {"opt", 10, false},
	}
}

// homeDepth is how deep a home is walked.
const homeDepth = 6

// closedToAll reports whether a folder in a home, by its name, holds private things alone.
func closedToAll(name string) bool {
	switch name {
	case ".mozilla", "google-chrome", "chromium", "BraveSoftware", "microsoft-edge", "opera", "vivaldi", ".librewolf", "firefox", "epiphany",
		".thunderbird", "Maildir", ".maildir", "Mail", "mail", "evolution", ".evolution", "geary", "kmail2", ".claws-mail",
		"Signal", "Slack", "discord", "Element", "TelegramDesktop", ".purple",
		".gnupg", "keyrings", ".password-store", "kwalletd", "Trash", ".Trash":
		return true
	}
	return false
}

type walker struct {
	Config
	ctx  context.Context
	t    *tree.Tree
	o    *facts.Out
	left int64
	// own are the paths of trees, by whether they were walked yet: none is told with another.
	own map[string]bool
	// told are those of them that stand with another tree already.
	told map[string]bool

	// Of the tree that is being walked:
	line  record.BodyTree
	home  bool
	ended error
	room  int64
}

var (
	errMany = errors.New("more than what is told")
	errTime = errors.New("the time was over")
)

func read(ctx context.Context, c Config, o *facts.Out) error {
	t, err := tree.Open(c.Root)
	if err != nil {
		return err
	}
	w := &walker{Config: c, ctx: ctx, t: t, o: o, left: c.MaxAll, own: make(map[string]bool), told: make(map[string]bool)}
	homes, err := t.Homes()
	o.Miss(err)
	list := trees()
	for _, h := range homes {
		if slices.ContainsFunc(list, func(x walked) bool { return x.path == h }) {
			continue
		}
		list = append(list, walked{h, homeDepth, true})
		if d, err := t.Dir(h); err == nil {
			w.own[d.Path] = false
			d.Close()
		}
	}
	for _, x := range list {
		if err := w.tree(x); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// tree walks one tree. An error is the writer's; what could not be read stands in the last
// line.
func (w *walker) tree(x walked) error {
	w.line = record.BodyTree{Type: record.BodyFileTree, Depth: x.depth, NamesOf: "all"}
	w.line.Path, w.line.PathRaw = record.TextOf("/" + x.path)
	w.home, w.ended, w.room = x.home && !w.Private, nil, min(w.MaxTree, w.left)
	if w.home {
		w.line.NamesOf = "folders"
	}
	d, err := w.t.Dir(x.path)
	if err != nil {
		w.miss(err)
		w.line.Ended = tree.Why(err)
		if w.line.Ended == "gone" {
			w.line.Ended = "absent"
		}
		return w.o.Write(&w.line)
	}
	defer d.Close()
	if d.Path != x.path {
		w.line.At, _ = record.TextOf("/" + d.Path)
	}
	if w.own[d.Path] {
		return nil // another path led to it before
	}
	w.own[d.Path] = true
	names, more, err := d.Names(w.MaxNames)
	w.miss(err)
	if err != nil {
		w.line.Ended = tree.Why(err)
	}
	e := record.BodyEntry{Type: record.BodyFileEntry, FileTimes: d.Info().Record(d.Path, "")}
	if !w.told[d.Path] {
		if err := w.tell(&e); err != nil {
			return err
		}
	}
	if err := w.entries(d, names, x.depth); err != nil {
		return err
	}
	switch {
	case errors.Is(w.ended, errTime):
		w.line.Ended = "time"
	case w.ended != nil || more:
		w.line.Ended = "too_many"
	}
	if w.line.Ended == "too_many" {
		w.o.Miss(fmt.Errorf("/%s: %w", d.Path, errMany))
	}
	return w.o.Write(&w.line)
}

func (w *walker) miss(err error) {
	if err == nil || tree.Why(err) == "gone" {
		return
	}
	w.line.Unread++
	w.o.Miss(err)
}

func (w *walker) tell(e *record.BodyEntry) error {
	w.line.Entries++
	w.room--
	w.left--
	return w.o.Write(e)
}

// entries tells of the names in a folder and of what is below them.
func (w *walker) entries(d *tree.Dir, names []string, depth int) error {
	for _, name := range names {
		switch {
		case w.ended != nil:
			return nil
		case w.ctx.Err() != nil:
			w.ended = errTime
			return nil
		case w.room <= 0:
			w.ended = errMany
			return nil
		}
		st, err := d.Stat(name)
		if errors.Is(err, tree.ErrForeign) { // its name is known, and no more is asked
			w.line.LeftOut++
			continue
		}
		if err != nil {
			w.miss(err)
			continue
		}
		if err := w.entry(d, name, st, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(d *tree.Dir, name string, st tree.Info, depth int) error {
	if w.home && !st.IsDir() {
		w.line.LeftOut++
		return nil
	}
	target := ""
	if st.IsLink() {
		target, _ = d.Readlink(name)
	}
	e := record.BodyEntry{Type: record.BodyFileEntry, FileTimes: st.Record(tree.Join(d.Path, name), target)}
	if !st.IsDir() {
		return w.tell(&e)
	}
	path := tree.Join(d.Path, name)
	var sub *tree.Dir
	var names []string
	var more bool
	var err error
	_, own := w.own[path]
	switch {
	case own:
		e.Closed = "own_tree"
		w.told[path] = true
	case !w.Private && (w.home || isHome(path)) && closedToAll(name):
		e.Closed = "private"
	case depth <= 1:
		e.Closed = "depth"
	default:
		if sub, err = d.Sub(name); err == nil {
			defer sub.Close()
			names, more, err = sub.Names(w.MaxNames)
		}
		if err != nil {
			e.Closed = tree.Why(err)
			if !errors.Is(err, tree.ErrForeign) {
				w.miss(err)
			}
		} else if more {
			e.Closed = "too_many"
			w.miss(fmt.Errorf("/%s: %w", path, errMany))
		}
	}
	if err := w.tell(&e); err != nil || sub == nil {
		return err
	}
	return w.entries(sub, names, depth-1)
}

// isHome reports whether a path lies in the home of root, whose own names are told.
func isHome(path string) bool { return len(path) > 5 && path[:5] == "root/" }
