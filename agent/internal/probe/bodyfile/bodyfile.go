package bodyfile

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

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
		Read: func(ctx context.Context, o *facts.Out) error { return read(ctx, &c, o) },
	})
}

// walked is a tree to walk.
type walked struct {
	path  string
	depth int // folders that are entered, one below the other
	home  bool
}

// trees are those of the system with how deep they are walked; homes come after them.
const trees = "tmp 8 var/tmp 8 dev/shm 8 run/user 4 etc 8 root 6 boot 4 usr/bin 1 usr/sbin 1 bin 1 sbin 1 " +
	"usr/lib/systemd 4 usr/lib/security 2 usr/libexec 4 run/systemd 5 var/spool/cron 4 var/spool/at 3 var/log 6 var/lib/dpkg/info 1 " +
	"usr/local 10 var/www 10 srv 8 opt 10"

// homeDepth is how deep a home is walked.
const homeDepth = 6

// closedToAll are the folders in homes, by name, that hold private things alone.
const closedToAll = ".mozilla google-chrome chromium BraveSoftware microsoft-edge opera vivaldi .librewolf firefox epiphany " +
	".thunderbird Maildir .maildir Mail mail evolution .evolution geary kmail2 .claws-mail " +
	"Signal Slack discord Element TelegramDesktop .purple .gnupg keyrings .password-store kwalletd Trash .Trash"

type walker struct {
	*Config
	ctx  context.Context // of the tree
	t    *tree.Tree
	o    *facts.Out
	left int64
	// own are the paths of trees, by whether they were walked yet: none is told with another.
	own map[string]bool
	// told are those of them that stand with another tree already.
	told map[string]bool
	held tree.Held

	// Of the tree that is being walked:
	line  *record.BodyTree
	entry record.BodyEntry
	home  bool
	room  int64
}

func read(ctx context.Context, c *Config, o *facts.Out) error {
	t, err := tree.In(ctx, c.Root)
	if err != nil {
		return err
	}
	w := &walker{Config: c, ctx: ctx, t: t, o: o, left: c.MaxAll, own: make(map[string]bool), told: make(map[string]bool)}
	homes, err := t.Homes()
	o.Miss(err)
	var list []*walked
	fields := strings.Fields(trees)
	for i := 0; i < len(fields); i += 2 {
		depth, _ := strconv.Atoi(fields[i+1])
		list = append(list, &walked{fields[i], depth, false}) // root's home too: no person's, and where intruders leave tools
	}
	for _, h := range homes {
		if slices.ContainsFunc(list, func(x *walked) bool { return x.path == h }) {
			continue
		}
		list = append(list, &walked{h, homeDepth, true})
		if d, err := t.Dir(h); err == nil {
			w.own[d.Path] = false
			d.Close()
		}
	}
	for i, x := range list {
		// Half of what there is at most: no tree takes the turn of all others.
		mine, cancel := context.WithCancel(ctx)
		w.room = w.left
		if end, ok := ctx.Deadline(); i < len(list)-1 {
			w.room = (w.left + 1) / 2
			if ok {
				cancel()
				mine, cancel = context.WithDeadline(ctx, time.Now().Add(time.Until(end)/2))
			}
		}
		w.ctx, w.room = mine, min(w.room, w.MaxTree)
		err := w.tree(x)
		cancel()
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// tree walks one tree. An error is the writer's; what could not be read stands in the last
// line.
func (w *walker) tree(x *walked) error {
	w.line = &record.BodyTree{Type: record.BodyFileTree, Depth: x.depth, NamesOf: "all"}
	w.line.Path, w.line.PathRaw = record.TextOf("/" + x.path)
	w.home = x.home && !w.Private
	if w.home {
		w.line.NamesOf = "folders"
	}
	d, err := w.t.Dir(x.path)
	if err != nil {
		w.miss(err)
		if w.line.Ended = tree.Why(err); w.line.Ended == "gone" {
			w.line.Ended = "absent"
		}
		return w.o.Write(w.line)
	}
	defer d.Close()
	if d.Path != x.path {
		w.line.At, w.line.AtRaw = record.TextOf("/" + d.Path)
	}
	if w.own[d.Path] {
		return nil // another path led to it before
	}
	w.own[d.Path] = true
	names := w.names(d, &w.line.Ended)
	if !w.told[d.Path] {
		if err := w.tell(d.Info(), d.Path, "", ""); err != nil {
			return err
		}
	}
	if err := w.below(d, w.files(d, names), x.depth); err != nil {
		return err
	}
	if w.line.Ended == tooMany || w.line.Ended == "time" {
		w.o.Miss(tree.At(d.Path, tree.ErrMany))
	}
	return w.o.Write(w.line)
}

const tooMany = "too_many"

func (w *walker) miss(err error) {
	if err != nil && tree.Why(err) != "gone" {
		w.line.Unread++
		w.o.Miss(err)
	}
}

// names lists a folder; why is set where that is not all of it.
func (w *walker) names(d *tree.Dir, why *string) []string {
	names, more, err := d.Names(w.MaxNames)
	if more {
		*why, err = tooMany, tree.At(d.Path, tree.ErrMany)
	} else if err != nil {
		*why = tree.Why(err)
	}
	w.miss(err)
	return names
}

func (w *walker) tell(st *tree.Info, path, target, closed string) error {
	w.line.Entries++
	w.room--
	w.left--
	w.entry.Type, w.entry.Closed = record.BodyFileEntry, closed
	st.Record(&w.entry.FileTimes, path, target)
	return w.o.Write(&w.entry)
}

// over reports whether the tree has used up its time or its room.
func (w *walker) over() bool {
	switch {
	case w.ctx.Err() != nil:
		w.line.Ended = "time"
	case w.room <= 0:
		w.line.Ended = tooMany
	default:
		return w.o.Refusal() != nil
	}
	return true
}

// files tells of what is no folder among the names in a folder, and returns the folders, which
// are to be dropped. All other names are let go of before anybody descends.
func (w *walker) files(d *tree.Dir, names []string) []string {
	var subs []string
	var st tree.Info
	for _, name := range names {
		if w.over() {
			break
		}
		err := d.Stat(name, &st)
		switch {
		case errors.Is(err, tree.ErrForeign), err == nil && w.home && !st.IsDir():
			w.line.LeftOut++ // a place whose name stands among the mounts, or a private file
			w.room--
			w.left--
		case err != nil:
			w.miss(err)
		case st.IsDir():
			subs = append(subs, name)
		default:
			target := ""
			if st.IsLink() {
				target, _ = d.Readlink(name)
			}
			_ = w.tell(&st, tree.Join(d.Path, name), target, "")
		}
	}
	kept, all := w.held.Keep(subs)
	if !all {
		w.line.Ended = tooMany
		w.miss(tree.At(d.Path, tree.ErrMany))
	}
	return kept
}

// below tells of folders in a folder and of what is below them, and drops their names. An
// error is the writer's.
func (w *walker) below(d *tree.Dir, subs []string, depth int) error {
	defer w.held.Drop(subs)
	for _, name := range subs {
		if w.over() {
			break
		}
		if err := w.folder(d, name, depth); err != nil {
			return err
		}
	}
	return w.o.Refusal()
}

// folder tells of a folder and of what is below it. An error is the writer's.
func (w *walker) folder(d *tree.Dir, name string, depth int) error {
	path, closed := tree.Join(d.Path, name), ""
	var st tree.Info
	err := d.Stat(name, &st)
	if err == nil && !st.IsDir() {
		err = tree.At(path, tree.ErrReplaced)
	}
	if err != nil {
		w.miss(err)
		return nil
	}
	var sub *tree.Dir
	var names []string
	_, own := w.own[path]
	switch {
	case own:
		closed = "own_tree"
		w.told[path] = true
	case !w.Private && (w.home || strings.HasPrefix(path, "root/")) && tree.OneOf(name, closedToAll):
		closed = "private"
	case depth <= 1:
		closed = "depth"
	default:
		if sub, err = d.Sub(name); err != nil {
			if closed = tree.Why(err); !errors.Is(err, tree.ErrForeign) {
				w.miss(err)
			}
			break
		}
		defer sub.Close()
		names = w.names(sub, &closed)
	}
	if err := w.tell(&st, path, "", closed); err != nil || sub == nil {
		return err
	}
	return w.below(sub, w.files(sub, names), depth-1)
}
