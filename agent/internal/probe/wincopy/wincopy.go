package wincopy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Scope is what an organisation lets be copied of people's own.
type Scope struct {
	Private     bool // lets private rows be copied
	NoHistories bool // leaves histories out
}

// ErrLocked says that the program that has a file open lets nobody read it.
var ErrLocked = errors.New("a program that has it open lets nobody read it")

// Status is what the file system says of a file.
type Status struct {
	Size                       int64
	Index                      uint64
	Modified, Changed          time.Time
	Accessed, Born             time.Time
	Directory, Link, Elsewhere bool // Elsewhere: its bytes would have to be fetched
	About                      bool // Size is a little more than can be read
	Newest                     bool // the end of a log alone: there was no room for more
}

// File is an open file.
type File interface {
	io.ReadSeekCloser
	Status() (Status, error)
}

// Files is the PC whose files are copied.
type Files interface {
	// Places are the folders that a place of a pattern (W, D, C, ~) stands for.
	Places(place string) ([]string, error)
	// List tells of what is in a folder, without opening it.
	List(dir string) (map[string]Status, error)
	Open(path string) (File, error)
	// Saves are the names by which Save knows what stands behind a pattern of the places H and
	// U: hives of the registry, of "people" those of whoever is signed in, and journals.
	Saves(place, rest string) ([]string, error)
	// Save has the system write what is no file that can be opened, and opens that; closing
	// removes it. It is a hive, HKLM\NAME or HKU\SID; a log of events, EVT\CHANNEL, of which no
	// more than most bytes are saved, the newest; or the USN journal of a volume, USN\C:.
	Save(ctx context.Context, name string, most int64) (File, error)
}

const (
	maxFound = 16384 // of a row
	maxDepth = 16
	piece    = 192 << 10
)

// New returns the probe of a kind of the table; nil when there is none.
func New(kind artifact.Kind, scope Scope, files Files) probe.Probe {
	p := partOf(kind)
	if p == nil {
		return nil
	}
	return facts.New(facts.Config{
		Kind: p.kind, Schema: p.schema, Volatility: probe.Derivable, OS: runtime.GOOS,
		Read: func(ctx context.Context, o *facts.Out) error {
			c := &copier{part: p, scope: scope, files: files, o: o, left: p.all, seen: make(map[string]bool), buf: make([]byte, piece)}
			return c.table(ctx)
		},
	})
}

// copier copies the files of one kind.
type copier struct {
	*part
	scope Scope
	files Files
	o     *facts.Out
	left  int64
	seen  map[string]bool
	count int
	buf   []byte
}

// found is a file that a pattern matches, or a hive.
type found struct {
	path  string
	saved string // its name for Save
	st    Status
}

func (c *copier) table(ctx context.Context) error {
	var lines []*record.CopyRow
	for i := range c.rows {
		r := &c.rows[i]
		line := &record.CopyRow{Part: record.PartRow, Row: i, Class: r.class, Pattern: strings.Join(r.patterns, "; "), Max: r.max, All: r.all, Keep: "start", Private: r.private, State: "done", Why: r.why}
		switch {
		case r.names:
			line.Keep = "names"
		case r.end:
			line.Keep = "end"
		}
		lines = append(lines, line)
		switch {
		case r.private && !c.scope.Private, c.kind == artifact.KindHistory && c.scope.NoHistories:
			line.State = "excluded"
			continue
		case ctx.Err() != nil:
			line.State = "time"
			continue
		}
		list := c.match(ctx, r)
		slices.SortStableFunc(list, func(a, b found) int { return b.st.Modified.Compare(a.st.Modified) }) // the newest first
		for _, f := range list {
			if c.seen[f.path] {
				continue
			}
			c.seen[f.path] = true
			line.Found++
			if err := c.one(ctx, f, r, line); err != nil {
				return err
			}
		}
	}
	if c.count == 0 && c.o.Refused() {
		return ctx.Err() // that everything was refused is the outcome
	}
	for _, line := range lines {
		if err := c.o.Write(line); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// match finds what the patterns of a row mean.
func (c *copier) match(ctx context.Context, r *row) (list []found) {
	for _, p := range r.patterns {
		place, rest, _ := strings.Cut(p, `\`)
		if place == "H" || place == "U" {
			names, err := c.files.Saves(place, rest)
			c.o.Miss(err)
			for _, n := range names {
				list = append(list, found{path: pathOf(n), saved: n})
			}
			continue
		}
		dirs, err := c.files.Places(place)
		c.o.Miss(err)
		for _, dir := range dirs {
			c.walk(ctx, dir, strings.Split(rest, `\`), 0, &list)
		}
	}
	return list
}

// walk follows the parts of a pattern down from a folder. Links are told, not followed.
func (c *copier) walk(ctx context.Context, dir string, parts []string, depth int, list *[]found) {
	if ctx.Err() != nil || depth > maxDepth || len(*list) >= maxFound {
		if len(*list) >= maxFound {
			c.o.Miss(fmt.Errorf("%s: more than %d files", dir, maxFound))
		}
		return
	}
	entries, err := c.files.List(dir)
	if err != nil {
		c.o.Miss(err)
		return
	}
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		st, path := entries[name], dir+`\`+name
		switch all := parts[0] == "**"; {
		case !all && !like(parts[0], name):
		case st.Directory && !st.Link && all:
			c.walk(ctx, path, parts, depth+1, list)
		case st.Directory && !st.Link && len(parts) > 1:
			c.walk(ctx, path, parts[1:], depth+1, list)
		case len(parts) == 1 || all || st.Link && !strings.Contains(parts[0], "*"): // a link on the way is told too
			*list = append(*list, found{path: path, st: st})
		}
	}
}

// like reports whether a name fits a pattern in which "*" stands for any characters. Windows
// does not tell capitals from small letters.
func like(pattern, name string) bool {
	parts := strings.Split(strings.ToLower(pattern), "*")
	name = strings.ToLower(name)
	if len(parts) == 1 {
		return name == parts[0]
	}
	name, ok := strings.CutPrefix(name, parts[0])
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(name, p)
		if i < 0 {
			return false
		}
		name = name[i+len(p):]
	}
	return ok && strings.HasSuffix(name, parts[len(parts)-1])
}

// one tells of a file and copies it if it is to be.
func (c *copier) one(ctx context.Context, m found, r *row, line *record.CopyRow) error {
	f := &record.CopyFile{Part: record.PartFile, File: c.count, Row: line.Row, Class: r.class}
	describe(f, m.path, m.st)
	c.count++
	limit := min(r.max, r.all-line.Bytes, c.left)
	switch {
	case m.st.Link:
		f.Unread = "link"
	case r.names:
		f.Unread = "names_only"
	case m.st.Directory:
		f.Unread = "not_regular"
	case m.st.Elsewhere:
		f.Unread = "other_file_system"
	case ctx.Err() != nil:
		f.Unread = "time"
	case limit <= 0:
		f.Unread = "no_room"
		c.o.Miss(fmt.Errorf("%s: no room for more of this kind", m.path))
	default:
		n, err := c.copy(ctx, f, m, r, limit)
		line.Bytes += n
		c.left -= n
		if f.Unread == "" {
			line.Copied++
		}
		return err
	}
	return c.o.Write(f)
}

// describe fills in what the file system says. Windows has neither modes nor numbers of users.
func describe(f *record.CopyFile, path string, st Status) {
	f.Path, f.PathRaw = record.TextOf(path)
	f.UID, f.GID, f.FileKind = record.Unknown, record.Unknown, "file"
	switch {
	case st.Link:
		f.FileKind = "link"
	case st.Directory:
		f.FileKind = "dir"
	}
	f.Size, f.Inode, f.Modified, f.Changed, f.Accessed, f.Born = st.Size, st.Index, st.Modified, st.Changed, st.Accessed, st.Born
}

// copy writes the lines of one file and returns how many bytes were copied. An error is the
// writer's; what went wrong in reading stands in the lines.
func (c *copier) copy(ctx context.Context, f *record.CopyFile, m found, r *row, limit int64) (copied int64, err error) {
	g, way, err := c.open(ctx, m, limit)
	var st Status
	if err == nil {
		defer g.Close()
		st, err = g.Status()
	}
	if err != nil {
		f.Unread, f.Problem = unread(err), problem(err)
		c.o.Miss(err)
		return 0, c.o.Write(f)
	}
	f.Way, f.Problem = way.name, way.problem
	var bad error
	if r.end && way.name == "" && st.Size > limit {
		if f.From, bad = endOf(g, channelOf(m.path) != "", st.Size, limit); bad == nil {
			_, bad = g.Seek(f.From, io.SeekStart)
		}
		limit = min(limit, st.Size-f.From)
	}
	if way.name == record.WayExport { // what was written is new, the log is not
		m.st.Size = st.Size
		describe(f, m.path, m.st)
	} else {
		describe(f, m.path, st)
	}
	if err := c.o.Write(f); err != nil {
		return 0, err
	}
	sum := sha256.New()
	for copied < limit && bad == nil {
		if bad = ctx.Err(); bad != nil {
			break
		}
		var n int
		n, bad = io.ReadFull(g, c.buf[:min(int64(len(c.buf)), limit-copied)])
		if n > 0 {
			sum.Write(c.buf[:n])
			if err := c.o.Write(&record.CopyData{Part: record.PartData, File: f.File, Offset: f.From + copied, Data: c.buf[:n]}); err != nil {
				return copied, err
			}
			copied += int64(n)
		}
	}
	e := &record.CopyEnd{Part: record.PartEnd, File: f.File, Copied: copied, SHA256: hex.EncodeToString(sum.Sum(nil)), Stability: record.StableUnknown, Cut: st.Newest || copied < st.Size && (!st.About || copied >= limit)}
	if bad != nil && !errors.Is(bad, io.EOF) && !errors.Is(bad, io.ErrUnexpectedEOF) {
		e.Problem = problem(bad)
		c.o.Miss(bad)
	} else if copied < st.Size && copied < limit && !st.About {
		e.Problem = "the file got shorter while it was read"
		c.o.Miss(fmt.Errorf("%s: %s", m.path, e.Problem))
	}
	if after, err := g.Status(); err == nil {
		e.SizeAfter, e.AccessedAfter, e.ModifiedAfter, e.ChangedAfter = after.Size, after.Accessed, after.Modified, after.Changed
		e.Stability = stability(st, after)
	}
	return copied, c.o.Write(e)
}

// pathOf is how something that is no file is called.
func pathOf(name string) string {
	if volume, ok := strings.CutPrefix(name, `USN\`); ok {
		return volume + `\$Extend\$UsnJrnl:$J`
	}
	return `HKEY\` + name
}

// way is how something is opened: by its path, or saved by the system; and why not otherwise.
type way struct{ name, problem string }

// open opens what was found. A log of events is exported by the service that writes it: its file
// lacks the last events, and says of itself that it was not closed. Where that does not work
// the file is copied as it is.
func (c *copier) open(ctx context.Context, m found, limit int64) (g File, w way, err error) {
	if m.saved != "" {
		g, err = c.files.Save(ctx, m.saved, limit)
		return g, way{name: record.WaySave}, err
	}
	if channel := channelOf(m.path); channel != "" {
		if g, err = c.files.Save(ctx, `EVT\`+channel, limit); err == nil {
			return g, way{name: record.WayExport}, nil
		}
		w.problem = problem(fmt.Errorf("export: %w", err))
	}
	g, err = c.files.Open(m.path)
	return g, w, err
}

// channelOf is the log of events that a file keeps; empty for other files. A "/" stands as "%4"
// in its name.
func channelOf(path string) string {
	const dir, ext = `\winevt\logs\`, ".evtx"
	low := strings.ToLower(path)
	i := strings.LastIndex(low, dir)
	if i < 0 || !strings.HasSuffix(low, ext) {
		return ""
	}
	return strings.ReplaceAll(path[i+len(dir):len(path)-len(ext)], "%4", "/")
}

func stability(before, after Status) string {
	switch {
	case before.Size == after.Size && before.Modified.Equal(after.Modified) && before.Changed.Equal(after.Changed):
		return record.StableSame
	case after.Size > before.Size:
		return record.StableGrew
	}
	return record.StableChanged
}

func unread(err error) string {
	switch {
	case errors.Is(err, ErrLocked):
		return "locked"
	case errors.Is(err, fs.ErrPermission):
		return "denied"
	case errors.Is(err, fs.ErrNotExist):
		return "gone"
	}
	return "failed"
}

func problem(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	text, _ := record.TextOf(err.Error())
	return text
}
