package export

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Limits of tables.
const (
	maxColumns = 512
	maxTable   = 1 << 30 // bytes
)

// byteOrderMark lets spreadsheets read UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// table makes a table from lines: UTF-8 with a byte order mark, lines ended by CRLF, every
// cell that has a value in double quotes.
//
// Where the lines are few enough to hold their rows, one look at them is enough: a row that
// was made before a column was found lacks no more than commas at its end. Otherwise a
// first look finds the columns ([table.line] with rows false), and a second one
// makes the rows.
type table struct {
	rows  bool // make rows
	names [][]byte
	known map[string]int
	guess []int // column of the n-th member of the line before
	at    []int // member of each column in this line, counted from 1
	lines int64
	bytes int64
	err   error // why there can be no table
	body  []byte
	ends  []rowEnd
}

// rowEnd is where a row ends in the body, which has no CRLF, and how many columns it has.
type rowEnd struct {
	at, columns int32
}

// maxBody bounds the rows that are held, in bytes.
const maxBody = 8 * maxHeld

// begin forgets the table before and keeps its room.
func (t *table) begin(rows bool) {
	*t = table{rows: rows, names: t.names[:0], guess: t.guess[:0], at: t.at[:0], body: t.body[:0], ends: t.ends[:0]}
}

// line takes the members of one line. A name that stands twice in it counts the last time,
// as readers of JSON take it.
func (t *table) line(members []member, size int) {
	t.lines++
	t.bytes += int64(size)
	if t.err != nil {
		return
	}
	clear(t.at)
	for i := range members {
		n := t.column(i, members[i].name)
		if n < 0 {
			t.err = fmt.Errorf("more than %d columns", maxColumns)
			return
		}
		t.at[n] = i + 1
	}
	if t.rows {
		t.row(members)
	}
}

// column returns the column of a name that is the i-th of its line, or -1 if there are too
// many.
func (t *table) column(i int, name []byte) int {
	if i < len(t.guess) && bytes.Equal(t.names[t.guess[i]], name) {
		return t.guess[i]
	}
	n, ok := t.known[string(name)]
	if !ok {
		if n = len(t.names); n == maxColumns {
			return -1
		}
		if t.known == nil {
			t.known = map[string]int{}
		}
		t.known[string(name)] = n
		t.names = append(t.names, slices.Clone(name))
		t.at = append(t.at, 0)
	}
	if i < len(t.guess) {
		t.guess[i] = n
	} else if i == len(t.guess) {
		t.guess = append(t.guess, n)
	}
	return n
}

func (t *table) row(members []member) {
	for i, n := range t.at {
		if i > 0 {
			t.body = append(t.body, ',')
		}
		if n == 0 {
			continue
		}
		switch m := &members[n-1]; {
		case m.value[0] == 'n':
		case m.plain:
			t.body = appendPlain(t.body, m.value[1:len(m.value)-1])
		case m.value[0] == '"':
			t.body, t.err = appendText(t.body, m.value[1:len(m.value)-1])
		default:
			t.body = appendQuoted(t.body, m.value)
		}
		if t.err != nil {
			return
		}
	}
	t.ends = append(t.ends, rowEnd{int32(len(t.body)), int32(len(t.at))})
}

// fits says why there can be no table, or nil.
func (t *table) fits() error {
	if t.err != nil {
		return t.err
	}
	if most := 3*t.bytes + t.lines*int64(len(t.names)+2); most > maxTable {
		return fmt.Errorf("the table could have %d bytes, more than %d", most, int64(maxTable))
	}
	return nil
}

// head writes the names of the columns.
func (t *table) head(w io.Writer) error {
	out := []byte(byteOrderMark)
	for i, n := range t.names {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendText(out, n); err != nil {
			return err
		}
	}
	_, err := w.Write(append(out, '\r', '\n'))
	return err
}

// flush writes the rows that are held. All columns must be known.
func (t *table) flush(w io.Writer) error {
	commas := bytes.Repeat([]byte{','}, len(t.names))
	out := make([]byte, 0, 64<<10)
	from := int32(0)
	for _, r := range t.ends {
		out = append(out, t.body[from:r.at]...)
		if missing := len(t.names) - int(r.columns); missing > 0 {
			if r.columns == 0 { // n columns have n-1 commas
				missing--
			}
			out = append(out, commas[:missing]...)
		}
		out = append(out, '\r', '\n')
		from = r.at
		if len(out) >= 60<<10 {
			if _, err := w.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	t.body, t.ends = t.body[:0], t.ends[:0]
	_, err := w.Write(out)
	return err
}

// appendText appends a JSON text as a cell. What a spreadsheet would take for a formula,
// and what begins with the mark itself, gets an apostrophe in front.
func appendText(out, raw []byte) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return appendPlain(out, raw), nil
	}
	var room [128]byte
	s, err := unquote(room[:0], raw)
	if err != nil {
		return out, err
	}
	return appendGuarded(out, s), nil
}

// appendPlain appends what spells itself, and so has no double quote.
func appendPlain(out, s []byte) []byte {
	out = append(out, '"')
	if needsGuard(s) {
		out = append(out, '\'')
	}
	return append(append(out, s...), '"')
}

func appendGuarded(out, s []byte) []byte {
	if !needsGuard(s) {
		return appendQuoted(out, s)
	}
	return appendQuoted(out, append([]byte{'\''}, s...))
}

func needsGuard(s []byte) bool {
	if len(s) == 0 {
		return false
	}
	switch s[0] {
	case '=', '+', '-', '@', '\t', '\r', '\n', '\'':
		return true
	case 0xef: // some programs take the wide ones too
		for _, wide := range []string{"＝", "＋", "－", "＠"} {
			if bytes.HasPrefix(s, []byte(wide)) {
				return true
			}
		}
	}
	return false
}

func appendQuoted(out, s []byte) []byte {
	n := len(out)
	out = slices.Grow(out, 2*len(s)+2)
	out = out[:n+2*len(s)+2]
	out[n] = '"'
	n++
	for _, c := range s { // a byte at a time: objects and lists are full of quotes
		out[n] = c
		if n++; c == '"' {
			out[n] = c
			n++
		}
	}
	out[n] = '"'
	return out[:n+1]
}

// row writes a row of texts of our own tables.
func row(w io.Writer, cells ...string) error {
	var out []byte
	for i, c := range cells {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendGuarded(out, []byte(strings.ToValidUTF8(c, "\uFFFD")))
	}
	_, err := w.Write(append(out, '\r', '\n'))
	return err
}
