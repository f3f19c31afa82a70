package export

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Limits of tables.
const (
	maxColumns = 512
	maxTable   = 1 << 30 // bytes
	maxDecoded = 256 << 20
	maxLine    = 64 << 20
)

// byteOrderMark lets spreadsheets read UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// columnsOf collects the names of the columns of a table while lines pass.
type columnsOf struct {
	names [][]byte // as written
	known map[string]int
	lines int64
	bytes int64
	err   error
}

func (c *columnsOf) line(b []byte) {
	c.lines++
	c.bytes += int64(len(b))
	if c.err != nil {
		return
	}
	c.err = members(b, func(name, _ []byte) error {
		if _, ok := c.known[string(name)]; ok {
			return nil
		}
		if len(c.names) == maxColumns {
			return fmt.Errorf("more than %d columns", maxColumns)
		}
		if c.known == nil {
			c.known = map[string]int{}
		}
		c.known[string(name)] = len(c.names)
		c.names = append(c.names, slices.Clone(name))
		return nil
	})
}

// fits says why there can be no table, or nil.
func (c *columnsOf) fits() error {
	if c.err != nil {
		return c.err
	}
	if most := 3*c.bytes + c.lines*int64(len(c.names)+2); most > maxTable {
		return fmt.Errorf("the table could have %d bytes, more than %d", most, int64(maxTable))
	}
	return nil
}

// table writes lines as CSV: UTF-8 with a byte order mark, lines ended by CRLF, every cell
// that has a value in double quotes.
type table struct {
	w     io.Writer
	cols  *columnsOf
	cells [][]byte
	out   []byte
}

func newTable(w io.Writer, cols *columnsOf) (*table, error) {
	t := &table{w: w, cols: cols, cells: make([][]byte, len(cols.names)), out: []byte(byteOrderMark)}
	for i, n := range cols.names {
		if i > 0 {
			t.out = append(t.out, ',')
		}
		var err error
		if t.out, err = appendText(t.out, n); err != nil {
			return nil, err
		}
	}
	return t, t.flush()
}

func (t *table) flush() error {
	t.out = append(t.out, '\r', '\n')
	_, err := t.w.Write(t.out)
	t.out = t.out[:0]
	return err
}

// line writes one row. A name that stands twice in a line counts the last time, as
// readers of JSON take it.
func (t *table) line(b []byte) error {
	clear(t.cells)
	if err := members(b, func(name, value []byte) error {
		t.cells[t.cols.known[string(name)]] = value
		return nil
	}); err != nil {
		return err
	}
	for i, v := range t.cells {
		if i > 0 {
			t.out = append(t.out, ',')
		}
		var err error
		switch {
		case v == nil || v[0] == 'n':
		case v[0] == '"':
			t.out, err = appendText(t.out, v[1:len(v)-1])
		default:
			t.out = appendQuoted(t.out, v)
		}
		if err != nil {
			return err
		}
	}
	return t.flush()
}

// appendText appends a JSON text as a cell. What a spreadsheet would take for a formula,
// and what begins with the mark itself, gets an apostrophe in front.
func appendText(out, raw []byte) ([]byte, error) {
	var room [128]byte
	s, err := unquote(room[:0], raw)
	if err != nil {
		return out, err
	}
	return appendGuarded(out, s), nil
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
	}
	for _, wide := range []string{"＝", "＋", "－", "＠"} { // some programs take these too
		if bytes.HasPrefix(s, []byte(wide)) {
			return true
		}
	}
	return false
}

func appendQuoted(out, s []byte) []byte {
	out = append(out, '"')
	for {
		n := bytes.IndexByte(s, '"')
		if n < 0 {
			break
		}
		out = append(append(out, s[:n+1]...), '"')
		s = s[n+1:]
	}
	return append(append(out, s...), '"')
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

var errLong = fmt.Errorf("a line is longer than %d bytes", maxLine)

// eachLine reads lines that end with LF.
func eachLine(r io.Reader, do func(line []byte) error) error {
	br := bufio.NewReaderSize(r, 256<<10)
	var long []byte
	for {
		b, err := br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(long) > 0 {
			if long = append(long, b...); len(long) > maxLine {
				return errLong
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			b = long
		}
		if err == io.EOF && len(b) == 0 {
			return nil
		}
		if err != nil && err != io.EOF {
			return err
		}
		if derr := do(b); derr != nil {
			return derr
		}
		long = long[:0]
		if err == io.EOF {
			return nil
		}
	}
}
