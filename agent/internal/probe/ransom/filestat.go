package ransom

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/filecopy"
	"hozen/agent/internal/probe/tree"
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
	return (&filecopy.Found{
		Kind: artifact.KindRansomNote, Schema: record.SchemaRansomNote,
		Row: filecopy.Row{Class: "note", Pattern: "(by name, or one name with one size in many folders)", Max: maxNote, All: 4 << 20, Why: "what may be demands for ransom"},
		Find: func(ctx context.Context) ([]string, error) {
			s, err := l.once(ctx)
			if err != nil {
				return nil, err
			}
			return s.notePaths(), nil
		},
	}).Probe(l.root)
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
		s, err := walk(early, l.root, l.max, l.now().Unix())
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

// file is what is counted of a file: how long ago in seconds its content and entry
// changed, negative in the future.
type file struct {
	st       *tree.Info
	mod, chg int64
	doubled  bool
}

// seen is what a look saw.
type seen struct {
	now        int64 // seconds since 1970
	trees      []*count
	extensions map[string]*count
	folders    []*count // the first maxFolders are those in which most changed
	hours      [maxHours]count
	names      map[string]*name
	missed     int64
	first      error
}

// name is a file's name that is watched.
type name struct {
	count
	suits bool // it reads like a demand
	paths []string
}

const (
	hour = 3600
	day  = 24 * hour
	week = 7 * day
)

// add counts a file.
func (f *file) add(c *count) {
	c.Files++
	c.Bytes += f.st.Size
	since(c, f.mod, &f.st.M, &c.ModifiedHour, &c.ModifiedDay, &c.ModifiedWeek)
	since(c, f.chg, &f.st.C, &c.ChangedHour, &c.ChangedDay, &c.ChangedWeek)
	if f.doubled {
		c.Doubled++
	}
	if f.chg >= 0 && f.chg <= day && f.st.C.Sec-f.st.M.Sec > 60 {
		c.RenamedDay++
	}
}

// since counts a time; one in the future is no time that anything happened.
func since(c *count, age int64, at *tree.Stamp, hours, days, weeks *int64) {
	if age < 0 {
		return
	}
	if age <= hour {
		*hours++
	}
	if age <= day {
		*days++
	}
	if age <= week {
		*weeks++
	}
	if t := at.Time(); t.After(c.Newest) {
		c.Newest = t
	}
}

// file counts a file in everything but its tree and folder.
func (s *seen) file(dir, base string, st *tree.Info) *file {
	f := &file{st: st, mod: s.now - st.M.Sec, chg: s.now - st.C.Sec}
	lower := strings.ToLower(base)
	ext := path.Ext(lower)
	if len(ext) > maxExtension || ext == lower {
		ext = ""
	}
	if ext != "" && !tree.OneOf(ext[1:], usual) && !tree.OneOf(ext[1:], documents) {
		before := path.Ext(lower[:len(lower)-len(ext)])
		f.doubled = before != "" && tree.OneOf(before[1:], documents)
	}
	e := s.extensions[ext]
	if e == nil && len(s.extensions) >= maxExtensions {
		ext = "*"
		e = s.extensions[ext]
	}
	if e == nil {
		e = &count{Type: record.FileStatExtension}
		e.Name, e.NameRaw = record.TextOf(ext)
		s.extensions[ext] = e
	}
	f.add(e)
	if f.mod >= 0 && f.mod < maxHours*hour {
		s.hours[f.mod/hour].ModifiedHour++
	}
	if f.chg >= 0 && f.chg < maxHours*hour {
		h := &s.hours[f.chg/hour]
		h.ChangedHour++
		h.Files++
		h.Bytes += st.Size
	}
	if f.chg <= week && st.Size > 0 && st.Size <= maxNote && (ext == "" || tree.OneOf(ext[1:], "txt html htm hta rtf url")) {
		s.note(dir, base, f)
	}
	return f
}

// note watches names that may be demands: those that read like one, and short texts with
// one name and one size that came lately in many folders.
func (s *seen) note(dir, base string, f *file) {
	key := strconv.FormatInt(f.st.Size, 10) + "/" + base
	n := s.names[key]
	if n == nil {
		suits := demanding(base)
		if len(s.names) >= 2*maxNames || !suits && len(s.names) >= maxNames {
			if s.missed++; s.first == nil {
				s.first = tree.At(tree.Join(dir, base), tree.ErrMany)
			}
			return
		}
		n = &name{suits: suits, count: count{Type: record.FileStatName}}
		n.Name, n.NameRaw = record.TextOf(base)
		s.names[key] = n
	}
	f.add(&n.count)
	if len(n.paths) < perName {
		n.paths = append(n.paths, tree.Join(dir, base))
	}
}

// folder keeps the folders in which most changed.
func (s *seen) folder(c *count) {
	if c.ChangedWeek+c.ModifiedWeek > 0 {
		s.folders = append(s.folders, c)
	}
	if len(s.folders) >= 4*maxFolders {
		s.topFolders()
	}
}

func (s *seen) topFolders() {
	by(s.folders, func(c *count) (int64, int64) { return c.ChangedHour, c.ChangedDay + c.ChangedWeek })
	s.folders = s.folders[:min(len(s.folders), maxFolders)]
}

// by puts the greatest first, then goes by name.
func by(list []*count, rank func(c *count) (int64, int64)) {
	sorted.StableFunc(list, func(a, b *count) int {
		a1, a2 := rank(a)
		b1, b2 := rank(b)
		switch {
		case a1 > b1, a1 == b1 && a2 > b2:
			return -1
		case a1 == b1 && a2 == b2:
			return strings.Compare(a.Name, b.Name)
		}
		return 1
	})
}

// notes are the names that may be demands, those in most folders first.
func (s *seen) notes() (list []*name) {
	for _, n := range s.names {
		if n.suits || n.Files >= everywhere {
			list = append(list, n)
		}
	}
	sorted.Func(list, func(a, b *name) int {
		return cmp.Or(int(b.Files-a.Files), strings.Compare(a.Name, b.Name), int(a.Bytes-b.Bytes))
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
	var extensions []*count
	for _, e := range s.extensions {
		extensions = append(extensions, e)
	}
	by(extensions, func(c *count) (int64, int64) { return c.ChangedDay, c.Files })
	s.topFolders()
	all := slices.Concat(s.trees, extensions, s.folders)
	for i := range s.hours {
		if h := &s.hours[i]; h.ModifiedHour+h.ChangedHour > 0 {
			h.Type, h.Name = record.FileStatHour, time.Unix(s.now-int64(i+1)*hour, 0).UTC().Format(time.RFC3339)
			all = append(all, h)
		}
	}
	for _, n := range s.notes() {
		n.Example, n.ExampleRaw = record.TextOf("/" + n.paths[0])
		all = append(all, &n.count)
	}
	o.Missed(s.missed, s.first)
	for _, c := range all {
		if err := o.Write(c); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// documents are extensions of what people keep.
const documents = "doc docx xls xlsx xlsm ppt pptx pdf txt rtf odt ods odp csv jtd xdw jpg jpeg png gif tif tiff bmp psd ai dwg dxf jww mp3 mp4 mov avi wav " +
	"zip 7z rar tar gz bak sql mdb accdb db sqlite mdf ldf pst eml msg vmdk vdi vhd vhdx qcow2 ova iso xml json html php py js java go c cpp"

// usual are extensions that say nothing behind that of a document.
const usual = "gz xz zst bz2 old orig tmp swp part map md5 sha1 sha256 asc sig in lock log license dist example sample template tmpl j2 pyc"

// demands are words of which one is in the name of a demand for ransom.
const demands = "decrypt ransom restore_my restore_your restore_files how_to_restore how_to_recover recover_files recover_your files_back data_back your_files " +
	"unlock_files unlock_your _readme_txt readme_for readme_to read_me_now read_me_to read_it instructions_read_me files_encrypted encrypted_files are_encrypted " +
	"recovery_key help_your help_restore how_to_back !!! lockbit blackcat akira_readme ご連絡ください 暗号化され 復号"

// demanding reports whether a name reads like a demand for ransom.
func demanding(base string) bool {
	s := strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '.' {
			return '_'
		}
		return r
	}, strings.ToLower(base))
	for _, w := range strings.Fields(demands) {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
