package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// sheet makes a table from lines as package-format.md says. With rows it keeps the rows that
// it makes; columns that are found later are empty at the end of these.
type sheet struct {
	rows  bool
	order []string
	place map[string]int
	last  []int // column of the n-th name of the line before
	cells []*pair
	body  []byte // rows without their ends
	ends  []int  // where each row ends
	width []int  // how many columns were known to it
	err   error
}

const (
	maxColumns = 512
	maxBody    = 8 * maxHeld // bytes of rows that are kept
)

// begin forgets the table before.
func (s *sheet) begin(rows bool) {
	*s = sheet{rows: rows, place: map[string]int{}, last: s.last[:0], cells: s.cells[:0], body: s.body[:0], ends: s.ends[:0], width: s.width[:0]}
}

// line takes the names and values of a line.
func (s *sheet) line(pairs []pair) {
	if s.err != nil {
		return
	}
	clear(s.cells)
	for i := range pairs {
		n, ok := 0, i < len(s.last)
		if ok {
			n = s.last[i]
			ok = s.order[n] == string(pairs[i].name)
		}
		if !ok {
			if n, ok = s.place[string(pairs[i].name)]; !ok {
				if n = len(s.order); n == maxColumns {
					s.err = fmt.Errorf("more than %d columns", maxColumns)
					return
				}
				s.place[string(pairs[i].name)] = n
				s.order, s.cells = append(s.order, string(pairs[i].name)), append(s.cells, nil)
			}
			s.last = append(s.last[:min(i, len(s.last))], n)
		}
		s.cells[n] = &pairs[i]
	}
	if !s.rows {
		return
	}
	for i, p := range s.cells {
		if i > 0 {
			s.body = append(s.body, ',')
		}
		switch {
		case p == nil || string(p.value) == "null":
		case p.bare:
			s.body = append(quoteMark(s.body, p.value[1:len(p.value)-1]), p.value[1:]...)
		case p.value[0] == '"':
			s.body = text(s.body, p.value[1:len(p.value)-1])
		default:
			s.body = quote(s.body, p.value)
		}
	}
	s.ends, s.width = append(s.ends, len(s.body)), append(s.width, len(s.cells))
	if len(s.body) > maxBody {
		s.rows, s.body, s.ends, s.width = false, nil, nil, nil
	}
}

// write gives the whole table to w, which takes everything.
func (s *sheet) write(w io.Writer) {
	s.head(w)
	s.flush(w)
}

func (s *sheet) head(w io.Writer) {
	out := []byte("\xef\xbb\xbf")
	for i, n := range s.order {
		if i > 0 {
			out = append(out, ',')
		}
		out = text(out, []byte(n))
	}
	_, _ = w.Write(append(out, "\r\n"...))
}

// flush gives the rows that are kept to w and forgets them.
func (s *sheet) flush(w io.Writer) {
	var out []byte
	from := 0
	for i, end := range s.ends {
		out = append(out, s.body[from:end]...)
		for n := max(s.width[i], 1); n < len(s.order); n++ {
			out = append(out, ',')
		}
		out = append(out, "\r\n"...)
		if from = end; len(out) > 60<<10 {
			_, _ = w.Write(out)
			out = out[:0]
		}
	}
	_, _ = w.Write(out)
	s.body, s.ends, s.width = s.body[:0], s.ends[:0], s.width[:0]
}

// text is the cell of a JSON text.
func text(out, raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') >= 0 {
		var t string
		if json.Unmarshal([]byte(`"`+string(raw)+`"`), &t) != nil {
			return out
		}
		raw = []byte(t)
	}
	return append(doubled(quoteMark(out, raw), raw), '"')
}

// quoteMark begins the cell of a text: a quote, and an apostrophe where a spreadsheet would
// take the text for a formula.
func quoteMark(out, s []byte) []byte {
	out = append(out, '"')
	if len(s) == 0 || s[0] >= 'A' && s[0] < utf8.RuneSelf || s[0] >= '.' && s[0] <= '9' {
		return out
	}
	if r, _ := utf8.DecodeRune(s); strings.ContainsRune("=+-@\t\r\n'＝＋－＠", r) {
		out = append(out, '\'')
	}
	return out
}

func quote(out, b []byte) []byte { return append(doubled(append(out, '"'), b), '"') }

// doubled appends b with every quote in it twice.
func doubled(out, b []byte) []byte {
	for {
		n := bytes.IndexByte(b, '"') + 1
		if n == 0 {
			return append(out, b...)
		}
		out = append(append(out, b[:n]...), '"')
		b = b[n:]
	}
}
