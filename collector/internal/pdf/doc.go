// Package pdf lays out forms on paper, in Japanese and English, so that every character of
// what they say is seen and can be copied out again. It knows nothing of where the facts
// come from, of files or of databases.
package pdf

import (
	"fmt"
	"io"
	"time"

	"github.com/signintech/gopdf"
)

// Sizes in points. A4 is 595.28 × 841.89 (ISO 216).
const (
	pageWidth, pageHeight = 595.28, 841.89
	marginX, marginTop    = 42.0, 34.0
	marginBottom          = 44.0
	inner                 = pageWidth - 2*marginX
	textSize, smallSize   = 8.5, 6.6
	padding               = 2.1
)

const family = "text"

// leading is the height of a line of a size.
func leading(size float64) float64 { return size * 1.32 }

// document is what is being drawn. The first error stays and ends everything.
type document struct {
	gp     gopdf.GoPdf
	face   *typeface
	y      float64
	top    func() // draws what stands at the head of a page that goes on from another
	err    error
	inHead bool
}

// newDocument begins a document. Its bytes follow from what is drawn: there is no time in
// it but the one that is given.
func newDocument(title string, at time.Time) (*document, error) {
	face, err := newTypeface()
	if err != nil {
		return nil, err
	}
	d := &document{face: face}
	d.gp.Start(gopdf.Config{PageSize: *gopdf.PageSizeA4})
	if err := d.gp.AddTTFFontData(family, face.data); err != nil {
		return nil, fmt.Errorf("read font: %w", err)
	}
	info := gopdf.PdfInfo{Title: title, Producer: "Hozen"}
	if !at.IsZero() {
		info.CreationDate = at.UTC()
	}
	d.gp.SetInfo(info)
	return d, nil
}

// page begins a page.
func (d *document) page() {
	d.gp.AddPage()
	// Not before the first page: gopdf would make one of it that nobody sees, and count it.
	d.gp.SetLineWidth(0.4)
	d.y = marginTop
}

// room begins a page that goes on from this one unless so much is left of it.
func (d *document) room(height float64) {
	if d.y+height <= pageHeight-marginBottom || d.inHead {
		return
	}
	d.page()
	if d.top != nil {
		d.inHead = true
		d.top()
		d.inHead = false
	}
}

// left is what is left of the page.
func (d *document) left() float64 { return pageHeight - marginBottom - d.y }

// text draws one line whose upper left corner is given. It must be visible.
func (d *document) text(x, y, size float64, gray bool, s string) {
	if d.err != nil || s == "" {
		return
	}
	if d.err = d.gp.SetFont(family, "", size); d.err != nil {
		return
	}
	shade := uint8(0)
	if gray {
		shade = 85
	}
	d.gp.SetTextColor(shade, shade, shade)
	d.gp.SetXY(x, y+size) // the base line
	d.err = d.gp.Text(s)
}

// line is one line of a cell.
type line struct {
	s    string
	size float64
	gray bool
}

// cell is a box with lines in it.
type cell struct {
	width float64
	lines []line
	shade bool
}

// put adds a text to a cell, broken into lines.
func (d *document) put(c *cell, s string, size float64, gray bool) {
	for _, l := range d.face.wrap(d.face.visible(s), size, c.width-2*padding) {
		c.lines = append(c.lines, line{l, size, gray})
	}
}

func (c cell) height() float64 {
	h := 2 * padding
	for _, l := range c.lines {
		h += leading(l.size)
	}
	return h
}

// A row that is so high may be divided where so much of the page is left.
const (
	mayDivide     = pageHeight / 3
	worthDividing = 5 * textSize
)

func rowHeight(least float64, cells []cell) float64 {
	for _, c := range cells {
		least = max(least, c.height())
	}
	return least
}

// row draws boxes beside each other, at least so high. What does not fit on the page goes
// on at the next one.
func (d *document) row(least float64, cells ...cell) {
	whole := rowHeight(least, cells)
	if whole > d.left() && (whole < mayDivide || d.left() < worthDividing) {
		d.room(pageHeight)
	}
	for {
		height, more := d.part(least, cells)
		x := marginX
		for i := range cells {
			d.box(x, height, &cells[i], more)
			x += cells[i].width
		}
		d.y += height
		if !more || d.err != nil {
			return
		}
		d.room(pageHeight)
		least = 0
	}
}

// part says how high the boxes of a row are on this page, and whether lines are left.
func (d *document) part(least float64, cells []cell) (height float64, more bool) {
	height = rowHeight(least, cells)
	if height <= d.left() {
		return height, false
	}
	return d.left(), true
}

// box draws as much of a cell as fits, and takes it away.
func (d *document) box(x, height float64, c *cell, more bool) {
	style := "D"
	if c.shade {
		d.gp.SetFillColor(242, 242, 242)
		style = "FD"
	}
	d.gp.RectFromUpperLeftWithStyle(x, d.y, c.width, height, style)
	y := d.y + padding
	for len(c.lines) > 0 {
		l := c.lines[0]
		if more && y+leading(l.size)+padding > d.y+height {
			return
		}
		d.text(x+padding, y, l.size, l.gray, l.s)
		y += leading(l.size)
		c.lines = c.lines[1:]
	}
}

// label is a cell with the name of a field in both languages.
func (d *document) label(width float64, ja, en string) cell {
	c := cell{width: width, shade: true}
	d.put(&c, ja, 7.2, false)
	d.put(&c, en, 6, true)
	return c
}

// value is a cell with a text; nothing is shown as a dash, so that nobody can add it later.
func (d *document) value(width float64, s string) cell { return d.valueOf(width, textSize, s) }

func (d *document) valueOf(width, size float64, s string) cell {
	c := cell{width: width}
	if s == "" {
		s = "—"
	}
	d.put(&c, s, size, false)
	return c
}

// heading draws a heading in both languages.
func (d *document) heading(size float64, ja, en string) {
	d.room(leading(size) + 40)
	shown := d.face.visible(ja)
	d.text(marginX, d.y, size, false, shown)
	d.text(marginX+d.face.width(shown, size)+8, d.y+size*0.25, size*0.75, true, d.face.visible(en))
	d.y += leading(size) + 2
}

// paragraph draws running text.
func (d *document) paragraph(s string, size float64, gray bool) {
	for _, l := range d.face.wrap(d.face.visible(s), size, inner) {
		d.room(leading(size))
		d.text(marginX, d.y, size, gray, l)
		d.y += leading(size)
	}
}

// finish numbers the pages and writes the document.
func (d *document) finish(w io.Writer, foot string) error {
	foot = d.face.visible(foot)
	pages := d.gp.GetNumberOfPages()
	for n := 1; n <= pages && d.err == nil; n++ {
		if d.err = d.gp.SetPage(n); d.err != nil {
			break
		}
		y := pageHeight - marginBottom + 14
		for i, l := range d.face.wrap(foot, smallSize, inner-70) {
			d.text(marginX, y+float64(i)*leading(smallSize), smallSize, true, l)
		}
		of := d.face.visible(fmt.Sprintf("%d / %d", n, pages))
		d.text(marginX+inner-d.face.width(of, 8), y, 8, false, of)
	}
	if d.err != nil {
		return fmt.Errorf("draw document: %w", d.err)
	}
	if _, err := d.gp.WriteTo(w); err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	return nil
}
