package report

import (
	"fmt"
	"io"
	"strings"

	"hozen/collector/internal/pdf"
)

// maxSource is how many characters a source has at most on the owner's page.
const maxSource = 90

// PDF writes a document on paper: A4, and the owner's on one page whatever it says. The same
// document gives the same bytes.
func (d Document) PDF(w io.Writer) error {
	f, err := frameOf(d)
	if err != nil {
		return err
	}
	s := pdf.Sheet{Title: d.Title, Subtitle: f.subtitle(), Badge: f.badge(), At: d.At, Foot: f.footer(), Facts: f.facts(), OnePage: d.Kind == Owner}
	if d.CaseTitle != "" && d.Kind != Owner && !d.Kind.Draft() {
		s.Facts = append(s.Facts, [2]string{f.p.Text("head.title"), d.CaseTitle})
	}
	for _, b := range d.printed() {
		sb := pdf.SheetBlock{Title: b.Title}
		for _, p := range b.paragraphs() {
			var runs []pdf.Run
			for i, one := range p {
				if i > 0 {
					runs = append(runs, pdf.Run{Text: gapBetween(p[i-1].Text)})
				}
				runs = append(runs, pdf.Run{Text: one.Text, Gray: one.Unknown})
				if n := one.notes(); n != "" {
					runs = append(runs, pdf.Run{Text: n, Note: true})
				}
			}
			sb.Paragraphs = append(sb.Paragraphs, runs)
		}
		if b.Table != nil {
			t := &pdf.SheetTable{Rows: b.Table.Rows}
			for _, c := range b.Table.Columns {
				t.Head, t.Widths = append(t.Head, c.Title), append(t.Widths, c.Width)
			}
			sb.Table = t
		}
		s.Blocks = append(s.Blocks, sb)
	}
	if len(d.Sources) > 0 {
		sb := pdf.SheetBlock{Title: f.p.Text("sources"), Small: true}
		if d.Kind == Owner { // one after the other: there is one page
			var runs []pdf.Run
			for i, line := range d.numbered() {
				if i > 0 {
					runs = append(runs, pdf.Run{Text: "  "})
				}
				runs = append(runs, pdf.Run{Text: strings.Join(strings.Fields(cut(line, maxSource)), " ")})
			}
			sb.Paragraphs = [][]pdf.Run{runs}
		} else {
			for _, line := range d.numbered() {
				sb.Paragraphs = append(sb.Paragraphs, []pdf.Run{{Text: line}})
			}
		}
		s.Blocks = append(s.Blocks, sb)
	}
	if err := s.Write(w); err != nil {
		return fmt.Errorf("print %s: %w", d.Kind, err)
	}
	return nil
}

// Unprintable returns the characters of a document that its paper shows as a mark.
func (d Document) Unprintable() ([]rune, error) { return pdf.Unprintable(d.Words()...) }
