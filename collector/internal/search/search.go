// Package search looks for words in what is stored: it reads what a person typed, spells it
// as it may stand in a database, and asks the tables that their owners describe. Japanese has
// no borders of words, so that a word is found wherever its letters stand. It knows nothing
// of who may see what, nor of what the tables hold.
package search

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// Limits of what is searched for.
const (
	MaxText  = 200 // characters that are read of what somebody typed
	MaxWords = 5   // each of which must stand in what is found
	wideAt   = 16  // characters up to which a word is looked for in wide letters too: nobody types a hash in them
)

// Query is what somebody searches for.
type Query struct {
	// Text is what was typed, cleaned, as it is shown again.
	Text string
	// Words must all be found; of each, one spelling.
	Words [][]string
}

// Empty reports whether there is nothing to search for.
func (q Query) Empty() bool { return len(q.Words) == 0 }

// Parse reads what somebody typed. Full-width and half-width letters, capitals and small
// ones are the same (NFKC, UAX #15), and every space separates words, the ideographic one too.
func Parse(text string) Query {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r) || r == utf8.RuneError:
			return ' '
		case unicode.Is(unicode.Cf, r): // nobody types what turns or hides text
			return -1
		}
		return r
	}, text)
	if n := utf8.RuneCountInString(text); n > MaxText {
		text = string([]rune(text)[:MaxText])
	}
	q := Query{Text: strings.Join(strings.Fields(text), " ")}
	for _, word := range strings.Fields(norm.NFKC.String(q.Text)) {
		if spellings := spell(word); len(q.Words) < MaxWords && !slices.ContainsFunc(q.Words, func(w []string) bool { return w[0] == spellings[0] }) {
			q.Words = append(q.Words, spellings)
		}
	}
	return q
}

// spell returns how a word may stand in what people and machines wrote, which is kept as it
// came. ASCII letters are small: the database compares them so.
func spell(word string) []string {
	word = lower(word)
	list := []string{word}
	add := func(s string) {
		if s = lower(s); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	add(strings.ToLower(word))
	add(strings.ToUpper(word)) // of letters beyond ASCII, which databases do not compare alike
	if utf8.RuneCountInString(word) <= wideAt {
		add(width.Narrow.String(norm.NFD.String(word))) // half-width katakana, whose marks stand apart
		add(width.Widen.String(word))
		add(width.Widen.String(strings.ToUpper(word)))
	}
	return list
}

// lower makes the capitals of ASCII small and leaves every byte where it was.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// plain reports whether a spelling has letters of ASCII, whose capitals are compared alike.
func plain(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' })
}

// Span is a part of a text, in bytes.
type Span struct{ From, To int }

// In finds where the words stand in a text: in order, and none in another. Without a
// word it is empty; words that stand elsewhere in what was found are not missed.
func (q Query) In(text string) []Span {
	low := lower(text)
	var spans []Span
	for _, word := range q.Words {
		for _, s := range word {
			for from := 0; ; {
				n := strings.Index(low[from:], s)
				if n < 0 {
					break
				}
				spans = append(spans, Span{from + n, from + n + len(s)})
				from += n + len(s)
			}
		}
	}
	slices.SortFunc(spans, func(a, b Span) int {
		if a.From != b.From {
			return a.From - b.From
		}
		return b.To - a.To
	})
	kept := spans[:0]
	for _, s := range spans {
		if len(kept) == 0 || s.From >= kept[len(kept)-1].To {
			kept = append(kept, s)
		}
	}
	return kept
}

// Fits reports whether each word stands in one of the texts.
func (q Query) Fits(texts ...string) bool {
	all := lower(strings.Join(texts, "\n"))
	for _, word := range q.Words {
		if !slices.ContainsFunc(word, func(s string) bool { return strings.Contains(all, s) }) {
			return false
		}
	}
	return true
}

// minKey is from how many letters on a word may be the beginning of an identifier or digest.
const minKey = 8

// isKey reports whether a word may be that.
func isKey(word string) bool {
	if len(word) < minKey {
		return false
	}
	for _, c := range []byte(word) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}

// pattern is a word for LIKE, with '\' as the escape character.
func pattern(word string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(word) + "%"
}
