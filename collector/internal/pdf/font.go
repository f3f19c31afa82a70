package pdf

import (
	"embed"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/signintech/gopdf"
	"golang.org/x/text/unicode/norm"
)

// files holds BIZ UDPGothic Regular 1.05 and its licence (SIL Open Font License 1.1), which
// every copy of the font must have with it.
//
//go:embed font
var files embed.FS

const fontFile = "font/BIZUDPGothic-Regular.ttf.zst"

// maxFont is above the size of the font, in bytes.
const maxFont = 8 << 20

// FontLicence is the licence of the font that documents carry.
func FontLicence() (string, error) {
	b, err := files.ReadFile("font/OFL.txt")
	return string(b), err
}

// typeface is the font with what a layout needs to know of it.
type typeface struct {
	data []byte
	face gopdf.SubsetFontObj
	used map[uint]rune // which character each glyph stands for in this document
	have map[rune]uint // glyphs that were looked up, which takes long; 0: there is none
}

func newTypeface() (*typeface, error) {
	packed, err := files.ReadFile(fontFile)
	if err != nil {
		return nil, fmt.Errorf("open font: %w", err)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxFont))
	if err != nil {
		return nil, fmt.Errorf("open font: %w", err)
	}
	defer d.Close()
	t := &typeface{used: map[uint]rune{}, have: map[rune]uint{}}
	if t.data, err = d.DecodeAll(packed, nil); err != nil {
		return nil, fmt.Errorf("open font: %w", err)
	}
	if err := t.face.SetTTFData(t.data); err != nil {
		return nil, fmt.Errorf("read font: %w", err)
	}
	return t, nil
}

// glyph returns the glyph of a character; false when the font has none.
func (t *typeface) glyph(r rune) (uint, bool) {
	if r > 0xffff {
		// gopdf writes characters beyond the basic plane so that no reader gets them back.
		return 0, false
	}
	if g, ok := t.have[r]; ok {
		return g, g != 0
	}
	g, err := t.face.CharCodeToGlyphIndex(r)
	if err != nil {
		g = 0
	}
	t.have[r] = g
	return g, g != 0
}

// drawable reports whether a character can be drawn so that it is seen, and is got back
// when the text is copied out of the document.
func (t *typeface) drawable(r rune) bool {
	if r != ' ' && r != '\u3000' && !unicode.IsGraphic(r) || unicode.Is(unicode.Zs, r) && r != ' ' && r != '\u3000' || unicode.Is(unicode.Mn, r) {
		return false
	}
	g, ok := t.glyph(r)
	if !ok {
		return false
	}
	// One glyph for two characters: copied out, both would be the same one. The ordinary
	// character wins over the one that Unicode has for compatibility alone.
	if n, size := utf8.DecodeRuneInString(norm.NFKC.String(string(r))); n != r && size == len(norm.NFKC.String(string(r))) {
		if other, ok := t.glyph(n); ok && other == g {
			return false
		}
	}
	if other, ok := t.used[g]; ok && other != r {
		return false
	}
	t.used[g] = r
	return true
}

// mark stands for a character that cannot be drawn.
func mark(r rune) string { return fmt.Sprintf("[U+%04X]", r) }

// visible makes every character of a text one that is seen: what cannot be drawn, controls
// and what only changes the direction of writing get a mark with their number. Line feeds
// stay.
func (t *typeface) visible(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			out = fmt.Appendf(out, "[0x%02X]", s[i])
		case r == '\n':
			out = append(out, '\n')
		case r == '\r' && i+1 < len(s) && s[i+1] == '\n': // a line's end of Windows
		case t.drawable(r):
			out = append(out, s[i:i+size]...)
		default:
			out = append(out, mark(r)...)
		}
		i += size
	}
	return string(out)
}

// width is the width of a text that was made visible, in points.
func (t *typeface) width(s string, size float64) float64 {
	var sum uint
	for _, r := range s {
		if g, ok := t.glyph(r); ok {
			sum += t.face.GlyphIndexToPdfWidth(g)
		}
	}
	return float64(sum) * size / 1000
}
