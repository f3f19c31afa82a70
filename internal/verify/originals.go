package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Names of what is made of several artifacts of a host, below its folder.
const (
	fileBody  = "bodyfile"
	fileIndex = "fs/index.jsonl"
	dirRootfs = "fs/$rootfs$"
	dirOther  = "fs/$other$/"
)

// carrier is an artifact whose lines are made into something else.
type carrier struct {
	acquisition, number string
	job                 *job
	found               []carried
}

// carried is a file that an artifact carries.
type carried struct {
	number int64 // in the artifact
	path   string
	raw    []byte
	size   int64
	sum    string
	whole  bool
}

// maxFileNumber is up to which number a line names the number of its file.
const maxFileNumber = 999_999_999

// remade makes body files and originals again from the sealed evidence and holds those of the
// package against them.
func (p *pack) remade(ctx context.Context) error {
	for _, h := range p.doc.hosts {
		base := "data/hosts/" + h.folder + "/"
		if err := p.bodyfile(ctx, base, p.carriers(base, h, func(kind string) bool { return kind == "bodyfile" })); err != nil {
			return err
		}
		if err := p.originals(ctx, base, p.carriers(base, h, carriesFiles)); err != nil {
			return err
		}
	}
	return nil
}

func carriesFiles(kind string) bool {
	return slices.Contains([]string{"deletedexe", "logfile", "history", "startfile", "userfile", "ransomnote"}, kind)
}

// carriers lists the artifacts of some kinds of a host that are right, in the order of their
// acquisitions and names.
func (p *pack) carriers(base string, h docHost, wanted func(kind string) bool) []*carrier {
	var out []*carrier
	for _, a := range h.acquisitions {
		numbers := map[string]string{}
		for _, e := range a.evidence {
			numbers[e.name] = e.number
		}
		for _, j := range p.sealed[base+"sealed/"+a.id].jobs {
			if wanted(j.e.kind) && j.e.isLines() && j.got.OK && !j.gone {
				out = append(out, &carrier{acquisition: a.id, number: numbers[j.e.name], job: j})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *carrier) int {
		return cmp.Or(strings.Compare(a.acquisition, b.acquisition), strings.Compare(a.job.e.name, b.job.e.name))
	})
	return out
}

// lines gives the lines of the artifact that are objects to do.
func (c *carrier) lines(ctx context.Context, w *hands, do func([]pair)) {
	f, _, why := c.job.c.src.open(c.job.e.name)
	if why != nil {
		return // it was right a moment ago, and what lacks is told
	}
	defer f.Close()
	w.each = do
	_, _ = w.read(ctx, f, c.job.e, nil) // likewise
	w.each = nil
}

func (p *pack) bodyfile(ctx context.Context, base string, from []*carrier) error {
	f, _, why := p.tree.open(base + fileBody)
	if why != nil && why.Code == codeMissing {
		return nil
	}
	p.copied[base+fileBody] = true
	if why != nil {
		p.problem(partDecoded, why.Code, base+fileBody, "%s", why.Detail)
		return nil
	}
	defer f.Close()
	p.parts[partDecoded].Count++
	w := &hands{}
	defer w.close()
	h, same := sha256.New(), &like{r: &patient{ctx, f}}
	var line []byte
	for _, c := range from {
		c.lines(ctx, w, func(pairs []pair) {
			line = bodyLine(line[:0], pairs)
			h.Write(line)
			_, _ = same.Write(line)
		})
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !same.end() {
		p.problem(partDecoded, codeDecoded, base+fileBody, "it is not made of the sealed evidence")
		return nil
	}
	p.digests[base+fileBody] = hex.EncodeToString(h.Sum(nil))
	return nil
}

// record reads names of a line by their types. It is false where one is of another.
type record struct {
	pairs []pair
	ok    bool
}

// take gives every value of a name to read, but null; the last one counts.
func (r *record) take(name string, read func(v []byte) bool) {
	for _, p := range r.pairs {
		if string(p.name) == name && p.value[0] != 'n' && !read(p.value) {
			r.ok = false
		}
	}
}

func (r *record) text(name string) (s string) {
	r.take(name, func(v []byte) bool {
		x, err := parseJSON(v)
		t, isText := x.(string)
		s = t
		return err == nil && isText
	})
	return s
}

func (r *record) bytes(name string) (b []byte) {
	r.take(name, func(v []byte) bool {
		x, err := parseJSON(v)
		t, isText := x.(string)
		if err == nil && isText {
			b, err = base64.StdEncoding.DecodeString(t)
		}
		return err == nil && isText
	})
	return b
}

func (r *record) whole(name string) int64 { return r.wholeOr(name, 0) }

func (r *record) wholeOr(name string, n int64) int64 {
	r.take(name, func(v []byte) (ok bool) {
		var err error
		n, err = strconv.ParseInt(string(v), 10, 64)
		return err == nil
	})
	return n
}

func (r *record) seconds(name string) int64 {
	var t time.Time
	r.take(name, func(v []byte) bool { return t.UnmarshalJSON(v) == nil })
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func (r *record) flag(name string) (yes bool) {
	r.take(name, func(v []byte) bool {
		yes = string(v) == "true"
		return yes || string(v) == "false"
	})
	return yes
}

// bodyLine appends the line of a body file (The Sleuth Kit, version 3) for an entry.
func bodyLine(b []byte, pairs []pair) []byte {
	r := &record{pairs: pairs, ok: true}
	name, target := named(r, "path"), named(r, "target")
	inode := uint64(0)
	r.take("inode", func(v []byte) bool {
		var err error
		inode, err = strconv.ParseUint(string(v), 10, 64)
		return err == nil
	})
	typ, mode := r.text("type"), field(r.text("mode_text"))
	if target != "" {
		name += " -> " + target
	}
	numbers := []int64{r.whole("uid"), r.whole("gid"), r.whole("size"), r.seconds("accessed_at"), r.seconds("modified_at"), r.seconds("changed_at"), r.seconds("born_at")}
	if !r.ok || typ != "entry" {
		return b
	}
	b = fmt.Appendf(b, "0|%s|%d|%s", name, inode, mode)
	for _, n := range numbers {
		b = strconv.AppendInt(append(b, '|'), n, 10)
	}
	return append(b, '\n')
}

func named(r *record, name string) string {
	text, raw := r.text(name), r.bytes(name+"_b64")
	if len(raw) > 0 {
		text = string(raw)
	}
	return field(text)
}

// field spells a text so that it stays one field of one line.
func field(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, breaks) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if breaks(r) || r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func breaks(r rune) bool { return r < ' ' || r == 0x7f || r == '|' || r == '\\' }

// originals holds the files of a PC against the lines that carry them.
func (p *pack) originals(ctx context.Context, base string, from []*carrier) error {
	part := p.parts[partDecoded]
	name := base + fileIndex
	if _, _, why := p.tree.open(name); why != nil && why.Code == codeMissing {
		return nil
	}
	p.copied[name] = true
	if err := each(ctx, len(from), func(w *hands, i int) { from[i].find(ctx, w) }); err != nil {
		return err
	}
	left := int64(0)
	listed := map[string]*indexed{}
	h := sha256.New()
	n := 0
	why := readLines(ctx, p.tree, name, h, func(line []byte) error {
		n++
		x, more, err := readIndexed(line)
		switch {
		case err != nil:
			return fmt.Errorf("line %d: %w", n, err)
		case x == nil:
			left += more
			return nil
		case listed[x.key()] != nil || p.copied[base+x.name]:
			return fmt.Errorf("line %d: a file or a name stands twice", n)
		}
		listed[x.key()], p.copied[base+x.name] = x, true
		return nil
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	if why != nil {
		p.problem(partDecoded, why.Code, name, "%s", why.Detail)
		return nil
	}
	p.digests[name] = hex.EncodeToString(h.Sum(nil))
	for _, c := range from {
		for _, f := range c.found {
			x := listed[indexKey(c.acquisition, c.job.e.kind, f.number)]
			if x == nil {
				left--
				continue
			}
			part.Count++
			delete(listed, x.key())
			p.original(base, x, &f, c.number)
		}
	}
	for _, x := range listed {
		p.problem(partDecoded, codeDecoded, base+x.name, "no sealed evidence carries it")
	}
	if left != 0 && len(listed) == 0 {
		p.problem(partDecoded, codeDecoded, name, "it has other files than the sealed evidence carries")
	}
	return nil
}

// original holds one file and its line of the index against what is sealed.
func (p *pack) original(base string, x *indexed, f *carried, number string) {
	file := base + x.name
	p.originalSums[file] = f.sum
	switch {
	case x.size != f.size || x.sum != f.sum || x.whole != f.whole || x.path != f.path || string(x.raw) != string(f.raw) || x.number != number:
		p.problem(partDecoded, codeDecoded, base+fileIndex, "what it says of %s is not what the sealed evidence says", x.name)
	case strings.HasPrefix(x.name, dirRootfs+"/") && x.name != dirRootfs+f.full():
		p.problem(partDecoded, codeDecoded, base+fileIndex, "%s lay at %.200q", x.name, f.full())
	}
}

func (f *carried) full() string {
	if len(f.raw) > 0 {
		return string(f.raw)
	}
	return f.path
}

// find lists the files that the lines of an artifact carry: one line begins a file, others
// have its bytes, one ends it. A number that does not rise is not taken: the file gets the one
// behind that of the line before, whether that line began a file or told why there is none.
func (c *carrier) find(ctx context.Context, w *hands) {
	var cur *carried
	var h hash.Hash
	partial, last := false, int64(-1)
	finish := func(copied int64, sum string, broken bool) {
		if cur != nil {
			cur.sum = hex.EncodeToString(h.Sum(nil))
			cur.whole = !broken && !partial && cur.size == copied && cur.sum == sum
			c.found = append(c.found, *cur)
		}
		cur = nil
	}
	c.lines(ctx, w, func(pairs []pair) {
		r := &record{pairs: pairs, ok: true}
		part, path, data, sum, unread, problem := r.text("part"), r.text("path"), r.text("data_b64"), r.text("sha256"), r.text("unread"), r.text("problem")
		raw, begin, copied, cut, number := r.bytes("path_b64"), r.whole("from"), r.whole("copied"), r.flag("cut"), r.wholeOr("file", -1)
		switch {
		case !r.ok:
		case part == "file":
			if last++; number > last && number <= maxFileNumber {
				last = number
			}
			if finish(-1, "", true); unread == "" {
				cur, h, partial = &carried{number: last, path: path, raw: raw}, sha256.New(), begin != 0
			}
		case cur == nil:
		case part == "data":
			if b, err := base64.StdEncoding.DecodeString(data); err == nil {
				h.Write(b)
				cur.size += int64(len(b))
			}
		case part == "end":
			finish(copied, sum, cut || problem != "")
		}
	})
	finish(-1, "", true)
}

// indexed is a line of fs/index.jsonl.
type indexed struct {
	acquisition, kind string
	file              int64
	number            string
	path              string
	raw               []byte
	name              string
	size              int64
	sum               string
	whole             bool
}

func (x *indexed) key() string { return indexKey(x.acquisition, x.kind, x.file) }

func indexKey(acquisition, kind string, file int64) string {
	return acquisition + " " + kind + " " + strconv.FormatInt(file, 10)
}

// readIndexed reads a line of the index: a file, or how many found no place.
func readIndexed(line []byte) (*indexed, int64, error) {
	v, err := parseJSON(line)
	if err != nil {
		return nil, 0, err
	}
	f := newFields(v, &err)
	if _, there := f.o["left_out"]; there {
		n := f.number("left_out", true)
		f.done()
		return nil, n, err
	}
	x := &indexed{acquisition: f.text("acquisition_id", true), kind: f.text("kind", true), file: f.number("file", true), number: f.text("evidence", true), path: f.text("path", true),
		name: f.text("name", true), size: f.number("size", true), sum: f.sha256("sha256", true), whole: f.flag("whole")}
	if _, there := f.o["path_b64"]; there {
		x.raw = f.base64("path_b64")
	}
	f.done()
	if err == nil && !strings.HasPrefix(x.name, dirRootfs+"/") && !strings.HasPrefix(x.name, dirOther) {
		err = fmt.Errorf("%.200q is no name of an original", x.name)
	}
	return x, 0, err
}
