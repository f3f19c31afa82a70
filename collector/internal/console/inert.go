package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of how much of a stranger's text one place shows, in characters.
const (
	cellLimit = 300    // in a table
	lineLimit = 4096   // on a page of its own thing
	textLimit = 65_536 // where the whole text is the point
)

// hidden reports whether r must not reach a screen as it is: control characters, the
// bidirectional controls that make "exe.txt" of "txt.exe" (Unicode TR 36), everything
// invisible, and code points that no font can show. The ordinary space and the
// ideographic space are plain text in Japanese.
func hidden(r rune) bool {
	switch r {
	case ' ', '\u3000':
		return false
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u3164', '\uffa0', '\u2800': // fillers: letters that look like nothing
		return true
	}
	if unicode.In(r, unicode.Variation_Selector) {
		return true
	}
	return !unicode.IsPrint(r)
}

// mark is the visible stand-in for a hidden character. An ASCII control has the
// spelling that programmers know; everything else its code point.
func mark(r rune) string {
	switch r {
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	if r < 0x20 || r == 0x7f {
		return fmt.Sprintf(`\x%02x`, r)
	}
	return fmt.Sprintf("⟨U+%04X⟩", r)
}

// walk calls text for runs that may be shown and escape for the stand-in of each
// character that may not, for at most limit characters, and returns how many
// characters it left out. Wrong UTF-8 shows as its bytes.
func walk(s string, limit int, keepNewlines bool, text, escape func(string)) (left int) {
	from, n := 0, 0
	for i := 0; i < len(s); {
		if n == limit {
			text(s[from:i])
			return utf8.RuneCountInString(s[i:])
		}
		n++
		r, size := utf8.DecodeRuneInString(s[i:])
		wrong := r == utf8.RuneError && size == 1
		if !wrong && (!hidden(r) || keepNewlines && r == '\n') {
			i += size
			continue
		}
		text(s[from:i])
		switch {
		case wrong:
			escape(fmt.Sprintf(`\x%02x`, s[i]))
		case keepNewlines && r == '\r' && strings.HasPrefix(s[i+1:], "\n"):
			// A form sends CR LF for each line break; the line feed says it all.
		default:
			escape(mark(r))
		}
		i += size
		from = i
	}
	text(s[from:])
	return 0
}

// plain makes s safe to stand in an attribute, a title, a header or a line of JSON:
// what is hidden is spelt out, and at most limit characters remain.
func plain(s string, limit int) string {
	var b strings.Builder
	add := func(part string) { b.WriteString(part) }
	if walk(s, limit, false, add, add) > 0 {
		b.WriteString("…")
	}
	return b.String()
}

// A stranger's words within a sentence of ours stand between two characters of the private
// use area, which [plain] lets through from nobody, until [said] makes HTML of them.
const ownBegin, ownEnd = "\ue000", "\ue001"

// own is [plain] for a place in a sentence of ours on a page.
func own(s string, limit int) string { return ownBegin + plain(s, limit) + ownEnd }

// said makes HTML of a sentence of ours, in which it marks the words of others.
func said(s string) template.HTML {
	return template.HTML(strings.NewReplacer(ownBegin, `<bdi dir="ltr">`, ownEnd, `</bdi>`).Replace(template.HTMLEscapeString(s)))
}

// unmarked is a sentence for where there is no HTML.
func unmarked(s string) string { return strings.NewReplacer(ownBegin, "", ownEnd, "").Replace(s) }

// unmarkedAll is unmarked for several.
func unmarkedAll(all []string) []string {
	for n := range all {
		all[n] = unmarked(all[n])
	}
	return all
}

// inert makes HTML of a stranger's text: isolated from the direction of the text
// around it, with hidden characters as marked stand-ins and the rest left out beyond
// limit characters. This and [said] are the only places that turn such text into HTML by hand.
func inert(s string, limit int, keepNewlines bool) template.HTML {
	var b strings.Builder
	b.WriteString(`<bdi dir="ltr">`)
	left := walk(s, limit, keepNewlines,
		func(part string) { template.HTMLEscape(&b, []byte(part)) },
		func(part string) {
			b.WriteString(`<span class="esc">`)
			template.HTMLEscape(&b, []byte(part))
			b.WriteString(`</span>`)
		})
	b.WriteString(`</bdi>`)
	if left > 0 {
		b.WriteString(`<span class="cut">… +` + strconv.Itoa(left) + `</span>`)
	}
	return template.HTML(b.String())
}
