package manual

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"hozen/internal/i18n"
)

// Hit is one place where something that was searched for stands.
type Hit struct {
	Slug    string
	ID      string // of the heading; empty: the page itself
	Page    string // title of the page
	Title   string // of the heading
	Excerpt string
}

// Limits of a search.
const (
	maxHits    = 30
	excerptLen = 90 // characters
)

// Find returns the sections that have every word of a query in heading or text, those that
// have one in the heading first. Width and case of letters make no difference.
func (m *Manual) Find(l i18n.Language, query string) []Hit {
	words := strings.Fields(fold(query))
	if len(words) == 0 {
		return nil
	}
	var named, others []Hit
	for _, p := range m.pages[l] {
		all := append([]Section{{Title: p.Title, text: p.Lead}}, p.Sections...)
		for _, s := range all {
			title, body := fold(s.Title), fold(s.text)
			in := false
			missing := false
			for _, w := range words {
				in = in || strings.Contains(title, w)
				missing = missing || !strings.Contains(title+"\n"+body, w)
			}
			if missing {
				continue
			}
			h := Hit{Slug: p.Slug, ID: s.ID, Page: p.Title, Title: s.Title, Excerpt: excerpt(s.text, words)}
			if in {
				named = append(named, h)
			} else {
				others = append(others, h)
			}
		}
	}
	named = append(named, others...)
	return named[:min(len(named), maxHits)]
}

func fold(s string) string { return strings.ToLower(norm.NFKC.String(s)) }

// excerpt is what stands around the first of the words that is there.
func excerpt(s string, words []string) string {
	s = norm.NFKC.String(strings.Join(strings.Fields(s), " "))
	at := -1
	for _, w := range words {
		if i := strings.Index(strings.ToLower(s), w); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	from := 0
	if at > 0 && at <= len(s) { // lower case may be longer than what it came of
		for from = at; from > 0 && utf8.RuneCountInString(s[from:at]) < excerptLen/3; {
			_, n := utf8.DecodeLastRuneInString(s[:from])
			from -= n
		}
	}
	out := []rune(s[from:])
	tail := ""
	if len(out) > excerptLen {
		out, tail = out[:excerptLen], "…"
	}
	head := ""
	if from > 0 {
		head = "…"
	}
	return head + string(out) + tail
}
