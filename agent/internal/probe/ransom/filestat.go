package ransom

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/filecopy"
	"hozen/agent/internal/sorted"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Look is one look at the files outside of the system's folders. Its two probes share it.
type Look struct {
	root string
	// max is how many entries are looked at, and now what times are compared with.
	max  int64
	now  func() time.Time
	turn chan struct{} // holds one token
	seen *seen         // nil before anybody looked
}

// NewLook returns a look at the system whose files are below root, usually "/". Nothing is
// read before a probe asks.
func NewLook(root string) *Look {
	return &Look{root: root, max: 1_000_000, now: time.Now, turn: make(chan struct{}, 1)}
}

// FileStat returns the probe that counts.
func (l *Look) FileStat() probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindFileStat, Schema: record.SchemaFileStat, Volatility: probe.Derivable, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error {
			s, err := l.once(ctx)
			if err != nil {
				return err
			}
			return s.write(ctx, o)
		},
	})
}

// Notes returns the probe that copies what may be demands.
func (l *Look) Notes() probe.Probe {
	return filecopy.Found{
		Kind: artifact.KindRansomNote, Schema: record.SchemaRansomNote, All: 4 << 20,
		Row: filecopy.Row{Class: "note", Pattern: "(by name, or one name with one size in many folders)", Max: maxNote, All: 4 << 20, Why: "what may be demands for ransom"},
		Find: func(ctx context.Context) ([]string, error) {
			s, err := l.once(ctx)
			if err != nil {
				return nil, err
			}
			return s.notePaths(), nil
		},
	}.Probe(l.root)
}

// once looks, or returns what was seen before.
func (l *Look) once(ctx context.Context) (*seen, error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.turn }()
	if l.seen == nil {
		early, cancel := probe.Early(ctx)
		defer cancel()
		s, err := walk(early, l.root, l.max, l.now())
		if err != nil {
			return nil, err
		}
		l.seen = s
	}
	return l.seen, nil
}

const (
	maxNote       = 64 << 10
	maxExtensions = 2048
	maxExtension  = 24 // bytes, with the dot
	maxFolders    = 100
	maxHours      = 48
	maxNames      = 4096 // that are watched for being everywhere
	maxTold       = 100  // names that may be demands
	perName       = 3    // copies of each
	// everywhere is in how many folders one name with one size must lie to be told.
	everywhere = 10
)

// count is what is known of a number of files.
type count = record.FileStat

// file is what is counted of a file.
type file struct {
	size     int64
	mod, chg time.Time
	doubled  bool
}

// seen is what a look saw.
type seen struct {
	now        time.Time
	trees      []count
	extensions map[string]*count
	folders    []count // the first maxFolders are those in which most changed
	hours      [maxHours]count
	names      map[string]*name
	errs       []error
	missed     int64
}

// name is a file's name that is watched.
type name struct {
	count
	size  int64
	suits bool // it reads like a demand
	paths []string
}

// add counts a file.
func add(c *count, f file, now time.Time) {
	c.Files++
	c.Bytes += f.size
	since := func(t time.Time, hour, day, week *int64) {
		age := now.Sub(t)
		if age < 0 { // in the future, which is no time that anything happened
			return
		}
		if age <= time.Hour {
			*hour++
		}
		if age <= 24*time.Hour {
			*day++
		}
		if age <= 7*24*time.Hour {
			*week++
		}
		if t.After(c.Newest) {
			c.Newest = t
		}
	}
	since(f.mod, &c.ModifiedHour, &c.ModifiedDay, &c.ModifiedWeek)
	since(f.chg, &c.ChangedHour, &c.ChangedDay, &c.ChangedWeek)
	if f.doubled {
		c.Doubled++
	}
	if age := now.Sub(f.chg); age >= 0 && age <= 24*time.Hour && f.chg.Sub(f.mod) > time.Minute {
		c.RenamedDay++
	}
}

// file counts a file in everything but its tree and folder, and says whether its name has
// two extensions.
func (s *seen) file(dir, base string, f file) (doubled bool) {
	ext := strings.ToLower(path.Ext(base))
	if len(ext) > maxExtension || ext == strings.ToLower(base) {
		ext = ""
	}
	if ext != "" {
		f.doubled = document(strings.ToLower(path.Ext(base[:len(base)-len(ext)]))) && !usual(ext)
	}
	e := s.extensions[ext]
	if e == nil {
		if len(s.extensions) >= maxExtensions {
			ext = "*"
			e = s.extensions[ext]
		}
		if e == nil {
			e = &count{Type: record.FileStatExtension}
			e.Name, e.NameRaw = record.TextOf(ext)
			s.extensions[ext] = e
		}
	}
	add(e, f, s.now)
	for _, x := range []struct {
		at       time.Time
		modified bool
	}{{f.mod, true}, {f.chg, false}} {
		age := s.now.Sub(x.at)
		if age < 0 || age >= maxHours*time.Hour {
			continue
		}
		h := &s.hours[age/time.Hour]
		if x.modified {
			h.ModifiedDay++
		} else {
			h.ChangedDay++
			h.Files++
			h.Bytes += f.size
		}
	}
	s.note(dir, base, ext, f)
	return f.doubled
}

// note watches names that may be demands: those that read like one, and short texts with
// one name and one size that came lately in many folders.
func (s *seen) note(dir, base, ext string, f file) {
	switch ext {
	case ".txt", ".html", ".htm", ".hta", ".rtf", ".url", "":
	default:
		return
	}
	age := s.now.Sub(f.chg)
	if f.size > maxNote || f.size == 0 || age > 7*24*time.Hour {
		return
	}
	key := fmt.Sprintf("%d/%s", f.size, base)
	n := s.names[key]
	if n == nil {
		suits := demanding(base)
		if !suits && len(s.names) >= maxNames {
			return
		}
		if len(s.names) >= 2*maxNames {
			return
		}
		n = &name{size: f.size, suits: suits, count: count{Type: record.FileStatName}}
		n.Name, n.NameRaw = record.TextOf(base)
		s.names[key] = n
	}
	add(&n.count, f, s.now)
	if len(n.paths) < perName {
		n.paths = append(n.paths, dir+"/"+base)
	}
}

// folder keeps the folders in which most changed.
func (s *seen) folder(c count) {
	if c.ChangedWeek == 0 && c.ModifiedWeek == 0 {
		return
	}
	s.folders = append(s.folders, c)
	if len(s.folders) >= 4*maxFolders {
		s.topFolders()
	}
}

func (s *seen) topFolders() {
	sorted.StableFunc(s.folders, func(a, b count) int {
		return cmp.Or(cmp.Compare(b.ChangedHour, a.ChangedHour), cmp.Compare(b.ChangedDay, a.ChangedDay), cmp.Compare(b.ChangedWeek, a.ChangedWeek))
	})
	s.folders = s.folders[:min(len(s.folders), maxFolders)]
}

// notes are the names that may be demands, those in most folders first.
func (s *seen) notes() (list []*name) {
	for _, n := range s.names {
		if n.suits || n.Files >= everywhere {
			list = append(list, n)
		}
	}
	sorted.Func(list, func(a, b *name) int {
		return cmp.Or(cmp.Compare(b.Files, a.Files), cmp.Compare(a.Name, b.Name), cmp.Compare(a.size, b.size))
	})
	return list[:min(len(list), maxTold)]
}

// notePaths are those of the files to copy: one of each name first.
func (s *seen) notePaths() (paths []string) {
	list := s.notes()
	for i := range perName {
		for _, n := range list {
			if i < len(n.paths) {
				paths = append(paths, n.paths[i])
			}
		}
	}
	return paths
}

// write tells what was seen.
func (s *seen) write(ctx context.Context, o *facts.Out) error {
	var all []*count
	for i := range s.trees {
		all = append(all, &s.trees[i])
	}
	from := len(all)
	for _, e := range s.extensions {
		all = append(all, e)
	}
	sorted.Func(all[from:], func(a, b *count) int {
		return cmp.Or(cmp.Compare(b.ChangedDay, a.ChangedDay), cmp.Compare(b.Files, a.Files), cmp.Compare(a.Name, b.Name))
	})
	s.topFolders()
	for i := range s.folders {
		all = append(all, &s.folders[i])
	}
	for i := range s.hours {
		h := &s.hours[i]
		if h.ModifiedDay+h.ChangedDay > 0 {
			// The counts of an hour stand where those of the last hour stand elsewhere.
			h.Type, h.Name = record.FileStatHour, s.now.Add(-time.Duration(i+1)*time.Hour).UTC().Format(time.RFC3339)
			h.ModifiedHour, h.ChangedHour, h.ModifiedDay, h.ChangedDay = h.ModifiedDay, h.ChangedDay, 0, 0
			all = append(all, h)
		}
	}
	for _, n := range s.notes() {
		n.Example, n.ExampleRaw = record.TextOf("/" + n.paths[0])
		all = append(all, &n.count)
	}
	for _, err := range s.errs {
		o.Miss(err)
	}
	o.Missed(s.missed, fmt.Errorf("%d folders or files more", s.missed))
	for _, c := range all {
		if err := o.Write(c); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// document reports whether an extension is that of what people keep.
func document(ext string) bool {
	switch ext {
	case ".doc", ".docx", ".xls", ".xlsx", ".xlsm", ".ppt", ".pptx", ".pdf", ".txt", ".rtf", ".odt", ".ods", ".odp", ".csv", ".jtd", ".xdw",
		".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".bmp", ".psd", ".ai", ".dwg", ".dxf", ".jww", ".mp3", ".mp4", ".mov", ".avi", ".wav",
		".zip", ".7z", ".rar", ".tar", ".gz", ".bak", ".sql", ".mdb", ".accdb", ".db", ".sqlite", ".mdf", ".ldf", ".pst", ".eml", ".msg",
		".vmdk", ".vdi", ".vhd", ".vhdx", ".qcow2", ".ova", ".iso", ".xml", ".json", ".html", ".php", ".py", ".js", ".java", ".go", ".c", ".cpp":
		return true
	}
	return false
}

// usual reports whether an extension behind that of a document says nothing.
func usual(ext string) bool {
	switch ext {
	case ".gz", ".xz", ".zst", ".bz2", ".zip", ".7z", ".bak", ".old", ".orig", ".tmp", ".swp", ".part", ".map", ".md5", ".sha1", ".sha256", ".asc", ".sig", ".in", ".lock", ".log", ".license", ".dist", ".example", ".sample", ".template", ".tmpl", ".j2", ".pyc":
		return true
	}
	return document(ext)
}

// demanding reports whether a name reads like a demand for ransom.
func demanding(base string) bool {
	s := strings.NewReplacer(" ", "_", "-", "_", ".", "_").Replace(strings.ToLower(base))
	for _, w := range []string{
		"decrypt", "ransom", "restore_my", "restore_your", "restore_files", "how_to_restore", "how_to_recover", "recover_files", "recover_your", "files_back", "data_back",
		"your_files", "unlock_files", "unlock_your", "_readme_txt", "readme_for", "readme_to", "read_me_now", "read_me_to", "read_it", "instructions_read_me",
		"files_encrypted", "encrypted_files", "are_encrypted", "recovery_key", "help_your", "help_restore", "how_to_back", "!!!", "lockbit", "blackcat", "akira_readme", "ご連絡ください", "暗号化され", "復号",
	} {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
