package report

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"hozen/internal/i18n"
)

// frame is what stands around the blocks, in the document's language.
type frame struct {
	p i18n.Printer
	d Document
}

func frameOf(d Document) (frame, error) {
	c, err := Texts()
	if err != nil {
		return frame{}, err
	}
	return frame{c.Printer(d.Language), d}, nil
}

// facts are the lines at the head.
func (f frame) facts() [][2]string {
	w := writer{p: f.p, o: Options{Language: f.d.Language, Era: f.d.Era}}
	number := f.d.Name()
	if number == "" {
		number = f.p.Text("draft")
	}
	out := [][2]string{
		{f.p.Text("head.number"), number},
		{f.p.Text("head.case"), w.orUnknown(f.d.CaseNumber)},
		{f.p.Text("head.organisation"), w.orUnknown(f.d.Organisation)},
		{f.p.Text("head.made"), w.moment(f.d.At)},
	}
	if f.d.By != "" {
		out = append(out, [2]string{f.p.Text("head.by"), f.d.By})
	}
	return append(out, [2]string{f.p.Text("head.ledger"), f.p.Text("head.ledger.value", "n", strconv.FormatInt(f.d.LedgerSize, 10))})
}

// badge is what must not be overlooked.
func (f frame) badge() string {
	var out []string
	if f.d.Drill {
		out = append(out, f.p.Text("drill"))
	}
	if f.d.Number == "" {
		out = append(out, f.p.Text("draft"))
	}
	return strings.Join(out, " ")
}

// subtitle says under the title what has to be known before it is used.
func (f frame) subtitle() string {
	if f.d.Kind.Draft() {
		return f.p.Text("draft.wording")
	}
	return ""
}

func (f frame) footer() string {
	name := f.d.Name()
	if name == "" {
		name = strings.TrimSpace(f.d.CaseNumber + " " + f.p.Text("draft"))
	}
	foot := strings.TrimSpace(f.p.Text("footer", "name", name, "organisation", f.d.Organisation))
	if f.d.Drill { // on every page: a head can be lost
		foot = f.p.Text("drill") + " " + foot
	}
	return foot
}

// printed are the blocks that have something to print.
func (d Document) printed() []Block {
	var out []Block
	for _, b := range d.Blocks {
		if len(b.Sentences) > 0 || b.Table != nil {
			out = append(out, b)
		}
	}
	return out
}

// paragraphs groups the sentences of a block.
func (b Block) paragraphs() [][]Sentence {
	var out [][]Sentence
	for _, s := range b.Sentences {
		if len(out) == 0 || s.Break {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], s)
	}
	return out
}

// notes are the numbers of a sentence's sources.
func (s Sentence) notes() string {
	if len(s.Sources) == 0 {
		return ""
	}
	var out []string
	for _, n := range s.Sources {
		out = append(out, strconv.Itoa(n))
	}
	return "[" + strings.Join(out, ",") + "]"
}

// numbered are the sources with their numbers.
func (d Document) numbered() []string {
	var out []string
	for i, s := range d.Sources {
		out = append(out, fmt.Sprintf("[%d] %s", i+1, s.Text))
	}
	return out
}

// gapBetween is what stands between two sentences of a paragraph.
func gapBetween(before string) string {
	if r, _ := utf8.DecodeLastRuneInString(before); r < 0x80 && r != utf8.RuneError {
		return " "
	}
	return ""
}

// visible makes controls and what only changes the direction of writing visible, for forms
// whose readers have fonts of their own.
func visible(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "[0x%02X]", s[i])
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r == '\r':
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Cf, r) || r == 0xfffe || r == 0xffff:
			fmt.Fprintf(&b, "[U+%04X]", r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}
