package pdf

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Sheet is a document of running text and tables. Texts are printed as they are.
type Sheet struct {
	Title, Subtitle string
	// Badge stands in a box at the top, such as 下書き or 訓練. Optional.
	Badge string
	// At is the only time that the document itself has.
	At     time.Time
	Foot   string // of every page
	Facts  [][2]string
	Blocks []SheetBlock
	// OnePage makes the letters as small as it takes, down to 6 points: what does not fit
	// then fails with [ErrTooLong].
	OnePage bool
}

// SheetBlock is a part of a sheet with a heading: running text, then a table.
type SheetBlock struct {
	Title      string
	Paragraphs [][]Run
	Table      *SheetTable
	Small      bool // such as the list of sources
}

// SheetTable is a table whose head stands on every page again.
type SheetTable struct {
	Head   []string
	Widths []float64 // parts of the whole width, in any unit
	Rows   [][]string
}

// Run is a part of a paragraph.
type Run struct {
	Text string
	Note bool // a small number that leads to the list of sources
	Gray bool // stands on gray, as what is not known does
}

// ErrTooLong means that a sheet that must have one page does not fit on it.
var ErrTooLong = errors.New("it does not fit on one page")

const (
	leastSize = 6.0
	mostSize  = 10.5
	bodySize  = 9.5
	// tightSize is how small letters get so that no page has but a few lines.
	tightSize = 8.5
	noteScale = 0.66
)

// Unprintable returns the characters of texts that would be printed as a mark with their
// number, each once, in the order in which they come.
func Unprintable(texts ...string) ([]rune, error) {
	face, err := newTypeface()
	if err != nil {
		return nil, err
	}
	seen := map[rune]bool{}
	var out []rune
	for _, s := range texts {
		for _, r := range s {
			if seen[r] || r == '\n' || r == '\r' {
				continue
			}
			seen[r] = true
			if !face.drawable(r) {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// Write writes a sheet as a PDF document. The same sheet gives the same bytes.
func (s Sheet) Write(w io.Writer) error {
	d, err := newDocument(s.Title, s.At)
	if err != nil {
		return fmt.Errorf("write %q: %w", s.Title, err)
	}
	size := bodySize
	if s.OnePage {
		for size = mostSize; d.heightOf(s, size) > pageHeight-marginTop-marginBottom; size -= 0.25 {
			if size <= leastSize {
				return fmt.Errorf("write %q: %w", s.Title, ErrTooLong)
			}
		}
	}
	if !s.OnePage && s.tables() == 0 {
		size = d.sizeWithoutRest(s)
	}
	d.page()
	d.sheetHead(s, size)
	for _, b := range s.Blocks {
		d.sheetBlock(b, size)
	}
	if err := d.finish(w, s.Foot); err != nil {
		return fmt.Errorf("write %q: %w", s.Title, err)
	}
	return nil
}

func (s Sheet) tables() (n int) {
	for _, b := range s.Blocks {
		if b.Table != nil {
			n++
		}
	}
	return n
}

// sizeWithoutRest is the largest size by which a sheet without tables that has a little more
// than a page's worth fits on the page; the usual one for a sheet that fits or has much more.
func (d *document) sizeWithoutRest(s Sheet) float64 {
	for size := bodySize; size >= tightSize; size -= 0.25 {
		if d.heightOf(s, size) <= pageHeight-marginTop-marginBottom {
			return size
		}
	}
	return bodySize
}

// piece is a text of one size within a line.
type piece struct {
	s          string
	size       float64
	width      float64
	note, gray bool
}

// glued are the parts of a paragraph between which a line may end; nil is a line's end. A
// note stays with what stands before it.
func (t *typeface) glued(runs []Run, size float64) [][]piece {
	var out [][]piece
	for _, r := range runs {
		if r.Note {
			s := t.visible(r.Text)
			p := piece{s: s, size: size * noteScale, width: t.width(s, size*noteScale), note: true}
			if n := len(out); n > 0 && out[n-1] != nil {
				out[n-1] = append(out[n-1], p)
			} else {
				out = append(out, []piece{p})
			}
			continue
		}
		for i, paragraph := range strings.Split(t.visible(r.Text), "\n") {
			if i > 0 {
				out = append(out, nil)
			}
			for _, u := range units(paragraph) {
				p := piece{s: u, size: size, width: t.width(u, size), gray: r.Gray}
				if n := len(out); n > 0 && out[n-1] != nil {
					last := out[n-1][len(out[n-1])-1]
					if !last.note && together(last.s, u) {
						out[n-1] = append(out[n-1], p)
						continue
					}
				}
				out = append(out, []piece{p})
			}
		}
	}
	return out
}

// lay breaks a paragraph into lines of at most width points. Nothing is dropped.
func (t *typeface) lay(runs []Run, size, width float64) [][]piece {
	var lines [][]piece
	var line []piece
	used := 0.0
	end := func() { lines, line, used = append(lines, line), nil, 0 }
	for _, u := range t.glued(runs, size) {
		if u == nil {
			end()
			continue
		}
		w, fits := 0.0, 0.0
		for _, p := range u {
			fits = w + t.width(strings.TrimRight(p.s, " "), p.size) // a space at the end may stand over the edge
			w += p.width
		}
		if used > 0 && used+fits > width && (fits <= width || used > width*0.8) {
			end()
		}
		if used+fits <= width {
			line, used = append(line, u...), used+w
			continue
		}
		for _, p := range u { // no place to break it, so that any will do
			for _, s := range t.pieces(p.s, p.size, width-used, width) {
				q := p
				q.s, q.width = s, t.width(s, p.size)
				if used > 0 && used+q.width > width {
					end()
				}
				line, used = append(line, q), used+q.width
			}
		}
	}
	if len(line) > 0 {
		end()
	}
	return lines
}

// spacing is the height of a line of running text.
func spacing(size float64) float64 { return size * 1.5 }

func (b SheetBlock) size(size float64) float64 {
	if b.Small {
		return max(size*0.72, 5)
	}
	return size
}

// heightOf is what a sheet without tables takes.
func (d *document) heightOf(s Sheet, size float64) float64 {
	h := d.headHeight(s, size)
	for _, b := range s.Blocks {
		if b.Title != "" {
			h += headingHeight(size)
		}
		for _, p := range b.Paragraphs {
			h += float64(len(d.face.lay(p, b.size(size), inner-8)))*spacing(b.size(size)) + 1
		}
		h += size * 0.5
	}
	return h
}

func headingHeight(size float64) float64 { return leading(size*1.12) + 4 }

const factLabel = 96.0

func (d *document) factRows(s Sheet) (rows [][]cell) {
	for i := 0; i < len(s.Facts); i += 2 {
		row := []cell{d.factCell(factLabel, s.Facts[i][0], true)}
		if i+1 < len(s.Facts) {
			row = append(row, d.factCell(half-factLabel, s.Facts[i][1], false), d.factCell(factLabel, s.Facts[i+1][0], true), d.factCell(half-factLabel, s.Facts[i+1][1], false))
		} else {
			row = append(row, d.factCell(inner-factLabel, s.Facts[i][1], false))
		}
		rows = append(rows, row)
	}
	return rows
}

func (d *document) factCell(width float64, s string, label bool) cell {
	c := cell{width: width, shade: label}
	d.put(&c, s, 7.6, false)
	return c
}

const titleSize = 15.0

func (d *document) headHeight(s Sheet, size float64) float64 {
	h := float64(len(d.face.wrap(d.face.visible(s.Title), titleSize, d.titleWidth(s)))) * leading(titleSize)
	if s.Subtitle != "" {
		h += leading(8)
	}
	for _, row := range d.factRows(s) {
		tall := 0.0
		for _, c := range row {
			tall = max(tall, c.height())
		}
		h += tall
	}
	return h + 6 + size*0.8
}

func (d *document) titleWidth(s Sheet) float64 {
	if s.Badge == "" {
		return inner
	}
	return inner - d.face.width(d.face.visible(s.Badge), 10) - 24
}

func (d *document) sheetHead(s Sheet, size float64) {
	if s.Badge != "" {
		badge := d.face.visible(s.Badge)
		w := d.face.width(badge, 10)
		d.gp.RectFromUpperLeftWithStyle(marginX+inner-w-12, d.y, w+12, 18, "D")
		d.text(marginX+inner-w-6, d.y+3, 10, false, badge)
	}
	for _, l := range d.face.wrap(d.face.visible(s.Title), titleSize, d.titleWidth(s)) {
		d.text(marginX, d.y, titleSize, false, l)
		d.y += leading(titleSize)
	}
	if s.Subtitle != "" {
		for i, l := range d.face.wrap(d.face.visible(s.Subtitle), 8, inner) {
			if i > 0 && s.OnePage {
				break
			}
			d.text(marginX, d.y, 8, true, l)
			d.y += leading(8)
		}
	}
	d.y += 6
	for _, row := range d.factRows(s) {
		d.row(0, row...)
	}
	d.y += size * 0.8
}

func (d *document) sheetBlock(b SheetBlock, size float64) {
	if b.Title != "" {
		first := 2 * spacing(b.size(size))
		if b.Table != nil && len(b.Paragraphs) == 0 {
			first = d.beginning(*b.Table)
		}
		d.room(headingHeight(size) + first)
		d.gp.SetFillColor(60, 60, 60)
		d.gp.RectFromUpperLeftWithStyle(marginX, d.y+1.5, 3, size*1.12, "F")
		title := d.face.visible(b.Title)
		d.text(marginX+8, d.y, size*1.12, false, title)
		d.y += headingHeight(size)
	}
	of := b.size(size)
	for _, p := range b.Paragraphs {
		for _, l := range d.face.lay(p, of, inner-8) {
			d.room(spacing(of))
			d.pieces(marginX+8, of, l)
			d.y += spacing(of)
		}
		d.y++
	}
	if b.Table != nil {
		d.sheetTable(*b.Table)
	}
	d.y += size * 0.5
}

// pieces draws those of one line.
func (d *document) pieces(x, size float64, pieces []piece) {
	for i := 0; i < len(pieces); {
		p := pieces[i]
		for i++; i < len(pieces) && pieces[i].note == p.note && pieces[i].gray == p.gray; i++ {
			p.s, p.width = p.s+pieces[i].s, p.width+pieces[i].width
		}
		if p.gray {
			d.gp.SetFillColor(225, 225, 225)
			d.gp.RectFromUpperLeftWithStyle(x, d.y+size*0.06, p.width, size*1.14, "F")
		}
		d.text(x, d.y, p.size, p.note, p.s)
		x += p.width
	}
}

// tableRow are the cells of a row, or of the head.
func (d *document) tableRow(t SheetTable, texts []string, head bool) []cell {
	sum := 0.0
	for _, w := range t.Widths {
		sum += w
	}
	var cells []cell
	for i := range t.Head {
		s, width := "", inner*t.Widths[i]/sum
		if i < len(texts) {
			s = texts[i]
		}
		if head {
			cells = append(cells, d.factCell(width, s, true))
		} else {
			cells = append(cells, d.valueOf(width, 7.6, s))
		}
	}
	return cells
}

// beginning is the height of a table's head and first row, of which one that is long may be
// divided.
func (d *document) beginning(t SheetTable) float64 {
	if !t.sound() {
		return 0
	}
	h := rowHeight(0, d.tableRow(t, t.Head, true))
	if len(t.Rows) > 0 {
		first := rowHeight(0, d.tableRow(t, t.Rows[0], false))
		if first >= mayDivide {
			first = worthDividing
		}
		h += first
	}
	return h
}

// sound tells whether each column has a width.
func (t SheetTable) sound() bool {
	for _, w := range t.Widths {
		if w <= 0 {
			return false
		}
	}
	return len(t.Widths) == len(t.Head) && len(t.Head) > 0
}

func (d *document) sheetTable(t SheetTable) {
	if !t.sound() {
		d.err = errors.Join(d.err, fmt.Errorf("a table has %d columns and %d widths", len(t.Head), len(t.Widths)))
		return
	}
	head := func() { d.row(0, d.tableRow(t, t.Head, true)...) }
	d.room(d.beginning(t))
	head()
	above := d.top
	d.top = head
	for _, r := range t.Rows {
		d.row(0, d.tableRow(t, r, false)...)
	}
	d.top = above
}
