package report

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// DOCX writes a document as a Word file (ECMA-376, WordprocessingML), which people may go on
// with. A letter has no numbers of sources in it. The same document gives the same bytes.
func (d Document) DOCX(w io.Writer) error {
	f, err := frameOf(d)
	if err != nil {
		return err
	}
	x := wordFile{f: f, bare: d.Kind.Draft()}
	z := zip.NewWriter(w)
	for _, part := range []struct{ name, text string }{
		{"[Content_Types].xml", contentTypes},
		{"_rels/.rels", packageRels},
		{"docProps/core.xml", x.core()},
		{"word/_rels/document.xml.rels", documentRels},
		{"word/styles.xml", x.styles()},
		{"word/footer1.xml", x.foot()},
		{"word/document.xml", x.body()},
	} {
		// A fixed time, so that the same document gives the same bytes.
		p, err := z.CreateHeader(&zip.FileHeader{Name: part.name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err == nil {
			_, err = io.WriteString(p, xmlHead+part.text)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", d.Kind, err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write %s: %w", d.Kind, err)
	}
	return nil
}

const (
	xmlHead      = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	wordSpace    = `xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"`
	relSpace     = `xmlns="http://schemas.openxmlformats.org/package/2006/relationships"`
	officeRel    = `http://schemas.openxmlformats.org/officeDocument/2006/relationships/`
	contentTypes = `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>` +
		`<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/>` +
		`<Override PartName="/word/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.styles+xml"/>` +
		`<Override PartName="/word/footer1.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.footer+xml"/>` +
		`<Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/></Types>`
	packageRels = `<Relationships ` + relSpace + `><Relationship Id="rId1" Type="` + officeRel + `officeDocument" Target="word/document.xml"/>` +
		`<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties" Target="docProps/core.xml"/></Relationships>`
	documentRels = `<Relationships ` + relSpace + `><Relationship Id="rId1" Type="` + officeRel + `styles" Target="styles.xml"/><Relationship Id="rId2" Type="` + officeRel + `footer" Target="footer1.xml"/></Relationships>`
)

// The page in twentieths of a point: A4 with margins of 20 mm.
const (
	wordWidth, wordHeight = 11906, 16838
	wordMargin            = 1134
	wordInner             = wordWidth - 2*wordMargin
)

type wordFile struct {
	f    frame
	bare bool
	b    bytes.Buffer
}

// escaped makes a text that stands in XML as it is.
func escaped(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

func (x *wordFile) core() string {
	return `<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:title>` +
		escaped(visible(x.f.d.Title)) + `</dc:title><dc:creator>Hozen</dc:creator><dcterms:created xsi:type="dcterms:W3CDTF">` + x.f.d.At.UTC().Format(time.RFC3339) + `</dcterms:created></cp:coreProperties>`
}

func (x *wordFile) styles() string {
	font := `<w:rFonts w:ascii="BIZ UDPGothic" w:hAnsi="BIZ UDPGothic" w:eastAsia="BIZ UDPGothic" w:cs="BIZ UDPGothic"/>`
	lang := "ja-JP"
	if x.f.d.Language == "en" {
		lang = "en-GB"
	}
	style := func(kind, id, name, based, paragraph, run string) string {
		s := `<w:style w:type="` + kind + `" w:styleId="` + id + `"`
		if id == "Normal" {
			s += ` w:default="1"`
		}
		s += `><w:name w:val="` + name + `"/>`
		if based != "" {
			s += `<w:basedOn w:val="` + based + `"/>`
		}
		if paragraph != "" {
			s += `<w:pPr>` + paragraph + `</w:pPr>`
		}
		if run != "" {
			s += `<w:rPr>` + run + `</w:rPr>`
		}
		return s + `</w:style>`
	}
	return `<w:styles ` + wordSpace + `><w:docDefaults><w:rPrDefault><w:rPr>` + font + `<w:sz w:val="20"/><w:szCs w:val="20"/><w:lang w:val="en-GB" w:eastAsia="` + lang + `"/></w:rPr></w:rPrDefault>` +
		`<w:pPrDefault><w:pPr><w:spacing w:after="60" w:line="300" w:lineRule="auto"/></w:pPr></w:pPrDefault></w:docDefaults>` +
		style("paragraph", "Normal", "Normal", "", "", "") +
		style("paragraph", "Title", "Title", "Normal", `<w:spacing w:after="120"/>`, `<w:b/><w:sz w:val="32"/><w:szCs w:val="32"/>`) +
		style("paragraph", "Heading1", "heading 1", "Normal", `<w:keepNext/><w:pBdr><w:bottom w:val="single" w:sz="4" w:space="1" w:color="808080"/></w:pBdr><w:spacing w:before="240" w:after="80"/><w:outlineLvl w:val="0"/>`, `<w:b/><w:sz w:val="24"/><w:szCs w:val="24"/>`) +
		style("paragraph", "Small", "Small", "Normal", `<w:spacing w:after="20" w:line="240" w:lineRule="auto"/>`, `<w:sz w:val="16"/><w:szCs w:val="16"/>`) +
		style("paragraph", "Footer", "footer", "Normal", `<w:tabs><w:tab w:val="right" w:pos="`+strconv.Itoa(wordInner)+`"/></w:tabs>`, `<w:color w:val="555555"/><w:sz w:val="16"/><w:szCs w:val="16"/>`) +
		style("table", "Grid", "Table Grid", "", "", "") + `</w:styles>`
}

func (x *wordFile) foot() string {
	field := func(name string) string {
		return `<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText xml:space="preserve"> ` + name + ` </w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>1</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>`
	}
	return `<w:ftr ` + wordSpace + `><w:p><w:pPr><w:pStyle w:val="Footer"/></w:pPr>` + run(x.f.footer(), "") + `<w:r><w:tab/></w:r>` + field("PAGE") + run(" / ", "") + field("NUMPAGES") + `</w:p></w:ftr>`
}

// run is a text of one look; line feeds in it become line breaks.
func run(s, look string) string {
	var b strings.Builder
	b.WriteString(`<w:r>`)
	if look != "" {
		b.WriteString(`<w:rPr>` + look + `</w:rPr>`)
	}
	for i, l := range strings.Split(visible(s), "\n") {
		if i > 0 {
			b.WriteString(`<w:br/>`)
		}
		b.WriteString(`<w:t xml:space="preserve">` + escaped(l) + `</w:t>`)
	}
	b.WriteString(`</w:r>`)
	return b.String()
}

func (x *wordFile) paragraph(style string, runs ...string) {
	x.b.WriteString(`<w:p>`)
	if style != "" {
		x.b.WriteString(`<w:pPr><w:pStyle w:val="` + style + `"/></w:pPr>`)
	}
	for _, r := range runs {
		x.b.WriteString(r)
	}
	x.b.WriteString(`</w:p>`)
}

func (x *wordFile) body() string {
	x.b.WriteString(`<w:document ` + wordSpace + `><w:body>`)
	d := x.f.d
	if badge := x.f.badge(); badge != "" {
		x.paragraph("", run(badge, `<w:b/><w:bdr w:val="single" w:sz="8" w:space="2" w:color="000000"/>`))
	}
	x.paragraph("Title", run(d.Title, ""))
	if s := x.f.subtitle(); s != "" {
		x.paragraph("Small", run(s, ""))
	}
	if !x.bare {
		var rows [][]string
		for _, h := range x.f.facts() {
			rows = append(rows, []string{h[0], h[1]})
		}
		x.table(nil, []float64{22, 78}, rows)
	}
	for _, b := range d.printed() {
		x.paragraph("Heading1", run(b.Title, ""))
		for _, p := range b.paragraphs() {
			var runs []string
			for i, s := range p {
				if i > 0 {
					runs = append(runs, run(gapBetween(p[i-1].Text), ""))
				}
				look := ""
				if s.Unknown {
					look = `<w:shd w:val="clear" w:color="auto" w:fill="E1E1E1"/>`
				}
				runs = append(runs, run(s.Text, look))
				if n := s.notes(); n != "" && !x.bare {
					runs = append(runs, run(n, `<w:color w:val="555555"/><w:vertAlign w:val="superscript"/>`))
				}
			}
			x.paragraph("", runs...)
		}
		if t := b.Table; t != nil {
			var head []string
			var widths []float64
			for _, c := range t.Columns {
				head, widths = append(head, c.Title), append(widths, c.Width)
			}
			x.table(head, widths, t.Rows)
		}
	}
	if !x.bare && len(d.Sources) > 0 {
		x.paragraph("Heading1", run(x.f.p.Text("sources"), ""))
		for _, s := range d.numbered() {
			x.paragraph("Small", run(s, ""))
		}
	}
	fmt.Fprintf(&x.b, `<w:sectPr><w:footerReference w:type="default" r:id="rId2"/><w:pgSz w:w="%d" w:h="%d"/><w:pgMar w:top="%d" w:right="%d" w:bottom="%d" w:left="%d" w:header="567" w:footer="567" w:gutter="0"/></w:sectPr></w:body></w:document>`,
		wordWidth, wordHeight, wordMargin, wordMargin, wordMargin, wordMargin)
	return x.b.String()
}

// table writes a table; without a head, its first column is the labels.
func (x *wordFile) table(head []string, widths []float64, rows [][]string) {
	var sum float64
	for _, w := range widths {
		sum += w
	}
	cols := make([]int, len(widths))
	x.b.WriteString(`<w:tbl><w:tblPr><w:tblStyle w:val="Grid"/><w:tblW w:w="` + strconv.Itoa(wordInner) + `" w:type="dxa"/><w:tblBorders>`)
	for _, side := range []string{"top", "left", "bottom", "right", "insideH", "insideV"} {
		x.b.WriteString(`<w:` + side + ` w:val="single" w:sz="4" w:space="0" w:color="808080"/>`)
	}
	x.b.WriteString(`</w:tblBorders><w:tblLayout w:type="fixed"/></w:tblPr><w:tblGrid>`)
	for i, w := range widths {
		cols[i] = int(float64(wordInner) * w / sum)
		x.b.WriteString(`<w:gridCol w:w="` + strconv.Itoa(cols[i]) + `"/>`)
	}
	x.b.WriteString(`</w:tblGrid>`)
	row := func(cells []string, heading bool) {
		x.b.WriteString(`<w:tr><w:trPr><w:cantSplit/>`)
		if heading {
			x.b.WriteString(`<w:tblHeader/>`)
		}
		x.b.WriteString(`</w:trPr>`)
		for i, w := range cols {
			s := ""
			if i < len(cells) {
				s = cells[i]
			}
			x.b.WriteString(`<w:tc><w:tcPr><w:tcW w:w="` + strconv.Itoa(w) + `" w:type="dxa"/>`)
			if heading || head == nil && i == 0 {
				x.b.WriteString(`<w:shd w:val="clear" w:color="auto" w:fill="F2F2F2"/>`)
			}
			x.b.WriteString(`</w:tcPr>`)
			x.paragraph("Small", run(s, ""))
			x.b.WriteString(`</w:tc>`)
		}
		x.b.WriteString(`</w:tr>`)
	}
	if head != nil {
		row(head, true)
	}
	for _, r := range rows {
		row(r, false)
	}
	x.b.WriteString(`</w:tbl>`)
	x.paragraph("") // Word wants a paragraph between tables and at the end
}
