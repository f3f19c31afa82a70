package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"unicode/utf8"
)

// copyOf is a readable copy and what it must be.
type copyOf struct {
	lines, table string // names in the package
	plain        string // SHA-256 that the sealed manifest gives
	why          *Problem
	wrong        *Problem // of the table
	sum, csv     string
}

// decoded holds the readable copies against the sealed evidence: the lines have the digest
// that the endpoint signed, the table is made again from the lines.
func (p *pack) decoded(ctx context.Context) error {
	if p.doc == nil {
		return nil
	}
	part := p.parts[partDecoded]
	part.Outcome = Absent
	known := map[string]bool{}
	var copies []*copyOf
	for _, h := range p.doc.hosts {
		for _, a := range h.acquisitions {
			base := "data/hosts/" + h.folder + "/"
			facts := p.sealed[base+"sealed/"+a.id]
			if facts == nil || facts.manifest == nil {
				continue
			}
			copies = append(copies, p.copies(base, a, facts, known)...)
		}
	}
	if err := each(ctx, len(copies), func(i int) { copies[i].check(ctx, p.tree) }); err != nil {
		return err
	}
	for _, c := range copies {
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
		}
	}
	for _, f := range p.tree.files() {
		if parts := strings.Split(f.name, "/"); len(parts) > 4 && parts[1] == "hosts" && parts[3] == "decoded" && !known[f.name] {
			p.problem(partDecoded, codePackage, f.name, "package.json does not know it")
		}
	}
	return nil
}

// copies lists the readable copies of one acquisition. Every artifact of it must stand in
// package.json, with a copy or the reason why there is none.
func (p *pack) copies(base string, a docAcquisition, facts *sealedFacts, known map[string]bool) []*copyOf {
	entries := map[string]*entry{}
	for i := range facts.manifest.artifacts {
		entries[facts.manifest.artifacts[i].name] = &facts.manifest.artifacts[i]
	}
	var out []*copyOf
	for _, e := range a.evidence {
		m := entries[e.name]
		if m == nil {
			p.problem(partDecoded, codePackage, fileDocument, "%s has no artifact %.80q, or it stands twice", a.id, e.name)
			continue
		}
		delete(entries, e.name)
		switch sealed := base + "sealed/" + a.id + "/" + e.name; {
		case p.odd[sealed]:
			p.unchecked(sealed, "odd_lines")
			if e.table != "" {
				p.problem(partDecoded, codeDecoded, base+e.table, "there is no table of lines that are not JSON objects")
			}
		case e.lines == "" || e.table == "":
			p.unchecked(sealed, "not_decoded")
		}
		if e.lines == "" {
			continue
		}
		c := &copyOf{lines: base + e.lines, plain: m.plain.sha256}
		known[c.lines] = true
		if e.table != "" {
			c.table = base + e.table
			known[c.table] = true
		}
		out = append(out, c)
	}
	for name := range entries {
		p.problem(partDecoded, codePackage, fileDocument, "it does not list %s of %s", name, a.id)
	}
	return out
}

func (c *copyOf) check(ctx context.Context, t tree) {
	cols := &sheet{}
	h := sha256.New()
	do := cols.names
	if c.table == "" {
		do = func([]byte) error { return nil }
	}
	if c.why = readLines(ctx, t, c.lines, h, do); c.why != nil && c.why.Code != codeLine {
		return
	}
	if c.sum = hex.EncodeToString(h.Sum(nil)); c.sum != c.plain {
		c.why = nil
		return
	}
	if c.why != nil || c.table == "" {
		return
	}
	cols.h = sha256.New()
	cols.head()
	if c.wrong = readLines(ctx, t, c.lines, io.Discard, cols.row); c.wrong != nil {
		return
	}
	c.csv = hex.EncodeToString(cols.h.Sum(nil))
	got, why := digestOf(ctx, t, c.table)
	switch {
	case why != nil:
		c.wrong = why
	case got != c.csv:
		c.wrong = &Problem{Code: codeDecoded, Detail: fmt.Sprintf("it has the SHA-256 %s, a table of %s has %s", got, c.lines, c.csv)}
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

// sheet makes a table from lines as package-format.md says.
type sheet struct {
	order []string
	place map[string]int
	cells [][]byte
	out   []byte
	h     hash.Hash
}

const maxColumns = 512

// names notes the names of a line.
func (s *sheet) names(line []byte) error {
	return walkObject(line, func(name, _ []byte) error {
		if _, ok := s.place[string(name)]; ok {
			return nil
		}
		if len(s.order) == maxColumns {
			return fmt.Errorf("more than %d columns", maxColumns)
		}
		if s.place == nil {
			s.place = map[string]int{}
		}
		s.place[string(name)] = len(s.order)
		s.order = append(s.order, string(name))
		return nil
	})
}

func (s *sheet) head() {
	s.out = append(s.out, "\xef\xbb\xbf"...)
	for _, n := range s.order {
		s.out = append(s.text(s.out, []byte(n)), ',')
	}
	s.end()
}

// end closes a row, whose cells all have a comma behind them so far.
func (s *sheet) end() {
	if len(s.order) > 0 {
		s.out = s.out[:len(s.out)-1]
	}
	s.out = append(s.out, "\r\n"...)
	s.h.Write(s.out)
	s.out = s.out[:0]
}

func (s *sheet) row(line []byte) error {
	if s.cells == nil {
		s.cells = make([][]byte, len(s.order))
	}
	clear(s.cells)
	if err := walkObject(line, func(name, value []byte) error {
		s.cells[s.place[string(name)]] = value
		return nil
	}); err != nil {
		return err
	}
	for _, v := range s.cells {
		switch {
		case len(v) == 0 || string(v) == "null":
		case v[0] == '"':
			s.out = s.text(s.out, v[1:len(v)-1])
		default:
			s.out = quote(s.out, v)
		}
		s.out = append(s.out, ',')
	}
	s.end()
	return nil
}

// text is the cell of a JSON text.
func (s *sheet) text(out, raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') >= 0 || !utf8.Valid(raw) {
		var t string
		if json.Unmarshal([]byte(`"`+string(raw)+`"`), &t) != nil {
			return out
		}
		raw = []byte(t)
	}
	if r, _ := utf8.DecodeRune(raw); len(raw) > 0 && strings.ContainsRune("=+-@\t\r\n'＝＋－＠", r) {
		raw = append([]byte{'\''}, raw...)
	}
	return quote(out, raw)
}

func quote(out, b []byte) []byte {
	out = append(out, '"')
	for _, c := range b {
		if c == '"' {
			out = append(out, '"')
		}
		out = append(out, c)
	}
	return append(out, '"')
}

var errObject = errors.New("a line is not one JSON object")

// walkObject gives names and values of a JSON object, as they are spelt. That the line is
// JSON at all was found when the sealed evidence was checked.
func walkObject(b []byte, each func(name, value []byte) error) error {
	i := 0
	space := func() {
		for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r') {
			i++
		}
	}
	take := func(c byte) bool {
		space()
		if i < len(b) && b[i] == c {
			i++
			return true
		}
		return false
	}
	if !take('{') {
		return errObject
	}
	for first := true; ; first = false {
		if take('}') {
			if space(); i != len(b) {
				return errObject
			}
			return nil
		}
		if !first && !take(',') {
			return errObject
		}
		space()
		n := skipText(b[i:])
		if n == 0 {
			return errObject
		}
		name := b[i+1 : i+n-1]
		if i += n; !take(':') {
			return errObject
		}
		space()
		if n = skipValue(b[i:]); n == 0 {
			return errObject
		}
		if err := each(name, b[i:i+n]); err != nil {
			return err
		}
		i += n
	}
}

// skipText returns the length of a text with its quotes, 0 when there is none.
func skipText(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

func skipValue(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := skipText(b[i:])
			if n == 0 {
				return 0
			}
			if i += n - 1; depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return 0
}

// unchecked notes a file that nothing was held against.
func (p *pack) unchecked(file, why string) {
	if len(p.report.Unchecked) < maxReported {
		p.report.Unchecked = append(p.report.Unchecked, PackedProblem{File: file, Why: why})
	}
}

// derived names what was made of the rest and checked against its digest alone.
func (p *pack) derived(all map[string]string) {
	part := p.parts[partDerived]
	for _, name := range []string{"README-en.txt", "README-ja.txt", fileBagInfo, "data/custody/form.html", "data/incident.json", "data/iocs.csv", "data/timeline.jsonl"} {
		if all[name] != "" {
			part.Count++
			p.unchecked(name, "derived")
		}
	}
}
