package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// copyOf is a readable copy and what it must be.
type copyOf struct {
	tree         tree
	lines, table string   // names in the package
	bytes        bool     // it is no lines
	plain        string   // SHA-256 that the sealed manifest gives
	why          *Problem // of the lines
	wrong        *Problem // of the table
	sum, csv     string   // SHA-256 of the lines and of the table, once they are known
}

// planned is one readable copy that package.json names, with what is to be reported of it.
type planned struct {
	*copyOf
	sealed string // name of the artifact
	whole  bool   // lines and table are there
	gone   bool   // the artifact was disposed of
}

// plan lists the readable copies of an acquisition and gives each to the job of its artifact.
// Every artifact must stand in package.json, with a copy or the reason why there is none.
func (p *pack) plan(base string, a docAcquisition, facts *sealedFacts) {
	jobs := map[string]*job{}
	for _, j := range facts.jobs {
		jobs[j.e.name] = j
	}
	for _, e := range a.evidence {
		j := jobs[e.name]
		if j == nil {
			p.problem(partDecoded, codePackage, fileDocument, "%s has no artifact %.80q, or it stands twice", a.id, e.name)
			continue
		}
		delete(jobs, e.name)
		x := planned{copyOf: &copyOf{tree: p.tree, plain: j.e.plain.sha256}, sealed: base + "sealed/" + a.id + "/" + e.name, gone: a.gone, whole: e.lines != "" && e.table != "" || e.bytes != ""}
		if e.table != "" {
			x.table = base + e.table
			p.copied[x.table] = true
		}
		if e.bytes != "" {
			if e.lines, x.bytes = e.bytes, true; j.e.isLines() || e.table != "" {
				p.problem(partDecoded, codePackage, fileDocument, "%s has lines, and a copy of another form", e.name)
			}
		}
		if e.lines != "" {
			x.lines = base + e.lines
			p.copied[x.lines] = true
			j.copy = x.copyOf
		}
		p.planned = append(p.planned, x)
	}
	for name := range jobs {
		p.problem(partDecoded, codePackage, fileDocument, "it does not list %s of %s", name, a.id)
	}
}

// decoded reports how the readable copies fit the sealed evidence: the lines have the digest
// that the endpoint signed, the table is made again from the lines.
func (p *pack) decoded() {
	if p.doc == nil {
		return
	}
	part := p.parts[partDecoded]
	if part.Outcome == NotChecked {
		part.Outcome = Absent
	}
	for _, c := range p.planned {
		switch {
		case p.odd[c.sealed]:
			p.unchecked(c.sealed, "odd_lines")
			if c.table != "" {
				p.problem(partDecoded, codeDecoded, c.table, "there is no table of lines that are not JSON objects")
			}
		case !c.whole && !c.gone:
			p.unchecked(c.sealed, "not_decoded")
		}
		if c.lines == "" {
			continue
		}
		part.Count++
		if part.Outcome == Absent {
			part.Outcome = Fits
		}
		switch {
		case c.why != nil:
			p.problem(partDecoded, c.why.Code, c.lines, "%s", c.why.Detail)
			continue
		case c.sum != c.plain:
			p.problem(partDecoded, codeDecoded, c.lines, "it has the SHA-256 %s, the sealed evidence unpacks to %s", c.sum, c.plain)
			continue
		}
		p.digests[c.lines] = c.sum
		if c.wrong != nil {
			p.problem(partDecoded, c.wrong.Code, c.table, "%s", c.wrong.Detail)
		} else if c.csv != "" {
			p.digests[c.table] = c.csv
		}
	}
	for _, f := range p.tree.files() {
		if parts := strings.Split(f.name, "/"); len(parts) > 4 && parts[1] == "hosts" && (parts[3] == "decoded" || parts[3] == "fs") && !p.copied[f.name] {
			p.problem(partDecoded, codePackage, f.name, "package.json and the index of fs do not know it")
		}
	}
}

// compare holds the copies against what the artifact unpacked to, and the table against the
// one that was made of it meanwhile.
func (c *copyOf) compare(ctx context.Context, plain []byte, t *sheet) {
	f, _, why := c.tree.open(c.lines)
	if why != nil {
		c.why = why
		return
	}
	defer f.Close()
	same := &like{r: &patient{ctx, f}}
	_, _ = same.Write(plain)
	if c.sum = c.plain; !same.end() {
		c.sum, c.why = digestOf(ctx, c.tree, c.lines)
		return
	}
	switch {
	case t == nil:
	case t.err != nil:
		c.why = &Problem{Code: codeLine, Detail: t.err.Error()}
	default:
		c.sheet(ctx, t)
	}
}

// sheet holds the table against the one that was made, in one reading.
func (c *copyOf) sheet(ctx context.Context, t *sheet) {
	f, _, why := c.tree.open(c.table)
	if why != nil {
		c.wrong = why
		return
	}
	defer f.Close()
	h := sha256.New()
	same := &like{r: &patient{ctx, f}}
	t.write(io.MultiWriter(h, same))
	if c.csv = hex.EncodeToString(h.Sum(nil)); same.end() {
		return
	}
	c.differs(ctx)
}

// differs says how the table is another than it should be.
func (c *copyOf) differs(ctx context.Context) {
	got, why := digestOf(ctx, c.tree, c.table)
	if c.wrong = why; why == nil {
		c.wrong = &Problem{Code: codeDecoded, Detail: fmt.Sprintf("it has the SHA-256 %s, a table of %s has %s", got, c.lines, c.csv)}
	}
}

// like compares what is written to it with what a reader has.
type like struct {
	r     io.Reader
	buf   []byte
	other bool
}

func (l *like) Write(p []byte) (int, error) {
	all := len(p)
	if l.buf == nil {
		l.buf = make([]byte, 64<<10)
	}
	for len(p) > 0 && !l.other {
		n, err := io.ReadFull(l.r, l.buf[:min(len(l.buf), len(p))])
		l.other = err != nil || !bytes.Equal(l.buf[:n], p[:n])
		p = p[n:]
	}
	return all, nil
}

// end reports whether both were the same to their ends.
func (l *like) end() bool {
	if l.other {
		return false
	}
	var b [1]byte
	n, err := io.ReadFull(l.r, b[:])
	return n == 0 && errors.Is(err, io.EOF)
}

// check reads large copies: the lines for their digest and columns, then again to make the
// table, then the table.
func (c *copyOf) check(ctx context.Context, w *hands) {
	if c.bytes {
		c.sum, c.why = digestOf(ctx, c.tree, c.lines)
		return
	}
	t := &w.sheet
	t.begin(false)
	h := sha256.New()
	do := func(line []byte) error {
		var ok bool
		if w.pairs, ok = readObject(line, w.pairs[:0]); !ok {
			return errObject
		}
		t.line(w.pairs)
		return t.err
	}
	if c.table == "" {
		do = func([]byte) error { return nil }
	}
	if c.why = readLines(ctx, c.tree, c.lines, h, do); c.why != nil && c.why.Code != codeLine {
		return
	}
	if c.sum = hex.EncodeToString(h.Sum(nil)); c.sum != c.plain {
		c.why = nil
		return
	}
	if c.why != nil || c.table == "" {
		return
	}
	h = sha256.New()
	t.head(h)
	t.rows = true
	if c.wrong = readLines(ctx, c.tree, c.lines, io.Discard, func(line []byte) error {
		w.pairs, _ = readObject(line, w.pairs[:0])
		if t.line(w.pairs); len(t.body) > 64<<10 {
			t.flush(h)
		}
		return nil
	}); c.wrong != nil {
		return
	}
	t.flush(h)
	c.csv = hex.EncodeToString(h.Sum(nil))
	if got, why := digestOf(ctx, c.tree, c.table); why != nil || got != c.csv {
		c.differs(ctx)
	}
}

// readLines gives every line of a file, without its LF, to do, and all bytes to sum.
func readLines(ctx context.Context, t tree, name string, sum io.Writer, do func([]byte) error) *Problem {
	f, _, why := t.open(name)
	if why != nil {
		return why
	}
	defer f.Close()
	r := &patient{ctx, f}
	buf := make([]byte, 0, 256<<10)
	var wrong error
	searched := 0 // bytes of buf in which no line ends
	for {
		if len(buf) == cap(buf) {
			if cap(buf) > maxLine {
				return &Problem{Code: codeLine, Detail: fmt.Sprintf("a line is longer than %d bytes", maxLine)}
			}
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		_, _ = sum.Write(buf[len(buf) : len(buf)+n])
		buf = buf[:len(buf)+n]
		rest := buf
		for wrong == nil {
			end := bytes.IndexByte(rest[searched:], '\n')
			if end < 0 {
				searched = len(rest)
				break
			}
			end += searched
			wrong, rest, searched = do(rest[:end]), rest[end+1:], 0
		}
		if wrong != nil {
			searched = 0
			rest = nil // the digest still needs every byte
		}
		buf = append(buf[:0], rest...)
		switch {
		case errors.Is(err, io.EOF) && len(buf) > 0:
			return &Problem{Code: codeLine, Detail: "its last line is cut off"}
		case errors.Is(err, io.EOF) && wrong != nil:
			return &Problem{Code: codeLine, Detail: wrong.Error()}
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &Problem{Code: codeZipData, Detail: err.Error()}
		}
	}
}

var errObject = errors.New("a line is not one JSON object")

// unchecked notes a file that nothing was held against.
func (p *pack) unchecked(file, why string) {
	if len(p.report.Unchecked) < maxReported {
		p.report.Unchecked = append(p.report.Unchecked, PackedProblem{File: file, Why: why})
	}
}

// derived names what was made of the rest and checked against its digest alone, and what the
// format does not have.
func (p *pack) derived(all map[string]string) {
	part := p.parts[partDerived]
	made := []string{"README-en.txt", "README-ja.txt", fileBagInfo, "data/custody/form.html", "data/custody/form.pdf", "data/incident.json", "data/iocs.csv", "data/iocs.stix.json", "data/timeline.jsonl"}
	known := []string{fileBagit, filePayload, fileTags, fileDocument, fileCustody, fileEntries, fileSigned, fileStamp, fileStampCA, fileCosigned, fileExhibits}
	for _, f := range p.tree.files() {
		parts := strings.Split(f.name, "/")
		switch {
		case slices.Contains(made, f.name):
			part.Count++
			p.unchecked(f.name, "derived")
		case all[f.name] == "" || slices.Contains(known, f.name) || p.copied[f.name]:
		case strings.HasPrefix(f.name, uploadsFolder):
		case len(parts) > 4 && parts[1] == "hosts" && (parts[3] == "sealed" || parts[3] == "decoded" || parts[3] == "fs"): // looked at already
		default:
			p.unchecked(f.name, "unknown")
		}
	}
}
