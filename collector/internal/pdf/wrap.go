package pdf

import (
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Characters that no line begins with, and such that none ends with, beyond what UAX #14
// says (JIS X 4051, 行頭禁則 and 行末禁則).
const (
	notFirst = "、。，．・：；？！゛゜´｀¨＾￣＿ヽヾゝゞ〃仝々〆〇ー―‐／～∥｜…‥’”）〕］｝〉》」』】°′″℃％‰" +
		"ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶㇰㇱㇲㇳㇴㇵㇶㇷㇸㇹㇺㇻㇼㇽㇾㇿ｡｣､･ｧｨｩｪｫｬｭｮｯｰﾞﾟ,.!?:;)]}%"
	notLast = "‘“（〔［｛〈《「『【￥＄￡｢([{"
)

// together reports whether no line may end between two texts.
func together(before, after string) bool {
	last, _ := utf8.DecodeLastRuneInString(before)
	first, _ := utf8.DecodeRuneInString(after)
	return strings.ContainsRune(notLast, last) || strings.ContainsRune(notFirst, first)
}

// wrap breaks a visible text into lines of at most width points. Nothing is dropped: the
// lines, one after the other, are the text without its line feeds.
func (t *typeface) wrap(s string, size, width float64) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(s, "\n") {
		lines = append(lines, t.paragraph(paragraph, size, width)...)
	}
	return lines
}

func (t *typeface) paragraph(s string, size, width float64) []string {
	var lines []string
	line, used := "", 0.0
	for _, u := range units(s) {
		w := t.width(u, size)
		// A space at the end of a line may stand over its edge.
		if line != "" && used+t.width(strings.TrimRight(u, " "), size) > width {
			if t.width(strings.TrimRight(u, " "), size) <= width || used > width*0.8 {
				lines, line, used = append(lines, line), "", 0
			}
		}
		if used+t.width(strings.TrimRight(u, " "), size) <= width {
			line, used = line+u, used+w
			continue
		}
		// Longer than a line: no place to break it, so that any will do.
		for _, piece := range t.pieces(u, size, width-used, width) {
			if line != "" && used+t.width(piece, size) > width {
				lines, line, used = append(lines, line), "", 0
			}
			line, used = line+piece, used+t.width(piece, size)
		}
	}
	return append(lines, line)
}

// units are the parts of a paragraph between which a line may end.
func units(s string) []string {
	var out []string
	state := -1
	for s != "" {
		var u string
		u, s, _, state = uniseg.FirstLineSegmentInString(s, state)
		if n := len(out); n > 0 && together(out[n-1], u) {
			out[n-1] += u
			continue
		}
		out = append(out, u)
	}
	return out
}

// pieces cuts a text between the characters that people see, the first at most first
// points wide, the others next.
func (t *typeface) pieces(s string, size, first, next float64) []string {
	var clusters []string
	state := -1
	for rest := s; rest != ""; {
		var c string
		c, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		clusters = append(clusters, c)
	}
	var out []string
	limit := first
	for len(clusters) > 0 {
		n, w := 0, 0.0
		for n < len(clusters) && w+t.width(clusters[n], size) <= limit {
			w += t.width(clusters[n], size)
			n++
		}
		if n < len(clusters) {
			for back := n; back > max(n-8, 1); back-- {
				if !together(clusters[back-1], clusters[back]) {
					n = back
					break
				}
			}
		}
		if n == 0 && limit < next {
			limit = next // nothing fits behind what stands there
			continue
		}
		n = max(n, 1)
		out, clusters, limit = append(out, strings.Join(clusters[:n], "")), clusters[n:], next
	}
	return out
}
