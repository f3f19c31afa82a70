package report

import (
	"fmt"
	"io"
	"strings"
)

// Text writes a document as plain text in UTF-8, for mail and web forms. One that is to be
// copied or sent has no numbers of sources in it.
func (d Document) Text(w io.Writer) error {
	f, err := frameOf(d)
	if err != nil {
		return err
	}
	var b strings.Builder
	line := func(s string) { b.WriteString(visible(s) + "\n") }
	bare := d.Kind.ToCopy() || d.Kind.Draft()
	if badge := f.badge(); badge != "" {
		line("【" + badge + "】")
	}
	line(d.Title)
	if !bare {
		for _, h := range f.facts() {
			line(h[0] + ": " + h[1])
		}
	}
	for _, block := range d.printed() {
		line("")
		line("■ " + block.Title)
		for _, p := range block.paragraphs() {
			var out strings.Builder
			for i, s := range p {
				if i > 0 {
					out.WriteString(gapBetween(p[i-1].Text))
				}
				out.WriteString(s.Text)
				if !bare {
					out.WriteString(s.notes())
				}
			}
			line(out.String())
		}
		if t := block.Table; t != nil {
			var head []string
			for _, c := range t.Columns {
				head = append(head, c.Title)
			}
			line(strings.Join(head, " | "))
			for _, r := range t.Rows {
				var cells []string
				for _, c := range r {
					cells = append(cells, strings.ReplaceAll(c, "\n", " / "))
				}
				line(strings.Join(cells, " | "))
			}
		}
	}
	if !bare && len(d.Sources) > 0 {
		line("")
		line("■ " + f.p.Text("sources"))
		for _, s := range d.numbered() {
			line(s)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write %s: %w", d.Kind, err)
	}
	return nil
}
