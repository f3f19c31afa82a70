package console

import (
	"bufio"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// readPage is a page as somebody reads it who knows one language.
type readPage struct {
	lang, title string
	headings    int      // of the first order
	ways        int      // links, buttons and fields in the main part
	stands      []string // what the actions that stand out say, outside of what is folded
	words       []string // every text in the language of the page
	links       []string
}

// Elements whose text is never words of ours: what somebody else wrote (bdi; see inert), what
// only machines read, and moments.
func foreign() []string {
	return []string{"bdi", "code", "pre", "script", "style", "time", "textarea"}
}

// spoken are the attributes that people see or hear.
func spoken() []string {
	return []string{"title", "alt", "aria-label", "placeholder", "data-label", "data-copied", "data-lost"}
}

// read reads a page. Ours are well-formed but for the elements that HTML never closes.
func read(t *testing.T, path, body string) readPage {
	t.Helper()
	body = strings.Map(func(r rune) rune { // in what somebody typed into a form
		if r < ' ' && r != '\n' && r != '\t' {
			return '\ufffd'
		}
		return r
	}, body)
	d := xml.NewDecoder(strings.NewReader(body))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	type open struct {
		name         string
		silent       bool // text in here is not in the language of the page, or not for people
		main, folded bool
		stands       bool // it is an action that stands out
	}
	var p readPage
	stack := []open{{}}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return p
		}
		if err != nil {
			t.Errorf("%s: read page: %v", path, err)
			return p
		}
		top := stack[len(stack)-1]
		switch e := token.(type) {
		case xml.StartElement:
			o := open{name: e.Name.Local, silent: top.silent || slices.Contains(foreign(), e.Name.Local), main: top.main || e.Name.Local == "main", folded: top.folded || e.Name.Local == "details"}
			attr := map[string]string{}
			for _, a := range e.Attr {
				attr[a.Name.Local] = a.Value
			}
			class := strings.Fields(attr["class"])
			o.silent = o.silent || attr["translate"] == "no" || slices.Contains(class, "num") || slices.Contains(class, "data")
			switch o.name {
			case "html":
				p.lang = attr["lang"]
			case "h1":
				p.headings++
			case "a", "button", "input", "select", "textarea":
				if o.main && attr["type"] != "hidden" {
					p.ways++
				}
				o.stands = o.main && !o.folded && slices.Contains(class, "primary")
				if href := attr["href"]; o.name == "a" && strings.HasPrefix(href, "/") {
					if _, file := attr["download"]; !file {
						p.links = append(p.links, href)
					}
				} else if o.name == "a" && strings.HasPrefix(href, "?") {
					where, _, _ := strings.Cut(path, "?")
					p.links = append(p.links, where+href)
				}
			}
			if l := attr["lang"]; l != "" && l != p.lang {
				o.silent = true
			}
			for _, name := range spoken() {
				if text := attr[name]; text != "" && !o.silent {
					p.words = append(p.words, text)
				}
			}
			stack = append(stack, o)
		case xml.EndElement:
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
		case xml.CharData:
			text := strings.TrimSpace(string(e))
			if top.stands && text != "" && !slices.Contains(p.stands, text) { // the same for several things is one
				p.stands = append(p.stands, text)
			}
			switch {
			case top.name == "title" && p.title == "":
				p.title = text // it has no markup that could tell whose words are whose
			case !top.silent && text != "":
				p.words = append(p.words, text)
			}
		}
	}
}

var (
	// Addresses, numbers of ours and what is left of a word that was cut are no words of any
	// language.
	noWord    = regexp.MustCompile(`https?://[!-~]*|[!-~]+@[!-~]+|\b[a-z0-9.-]+\.example(\.[a-z]+)*\b|(INC|DRILL)-[0-9]{4}-[0-9A-Z-]+|(/[a-z0-9._-]+)+/|U\+[0-9A-F]+|[A-Za-z]+…|…[A-Za-z]+`)
	latinWord = regexp.MustCompile(`[A-Za-z][A-Za-z]+`)
	japanese  = []*unicode.RangeTable{unicode.Hiragana, unicode.Katakana, unicode.Han}
)

// latinAllowed reads the Latin words that stand on Japanese pages.
func latinAllowed(t *testing.T) map[string]bool {
	t.Helper()
	f, err := os.Open("testdata/latin_words.txt")
	must(t, err)
	defer f.Close()
	words := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		for _, w := range strings.Fields(line) {
			words[w] = true
		}
	}
	return words
}

// kindOf is an address without what tells one thing from another of its kind, so that of a
// hundred processes one is looked at.
func kindOf(path string) string {
	path, query, _ := strings.Cut(path, "?")
	path = regexp.MustCompile(`/[a-z]{3}_[0-9a-zA-Z]+|/[0-9]+-[0-9]+|/E[0-9]+\b|/[A-Z]+-[0-9][^/]*`).ReplaceAllString(path, "/*")
	var names []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, name)
	}
	return path + "?" + strings.Join(names, "&")
}

// TestEveryPageInBothLanguages goes over every page and what they lead to. Nothing on one runs
// or deceives; words of ours are in the language of the page, words of others are marked as
// theirs; and it is clear where one is and what to do next.
func TestEveryPageInBothLanguages(t *testing.T) {
	x := newOffice(t, 60)
	allowed := latinAllowed(t)
	used := map[string]bool{}
	for _, lang := range []string{"ja", "en"} {
		b, anybody := x.as("owner", lang), x.browser(lang)
		queue := append([]string{"/sign-in"}, x.paths()...)
		seen, kinds, wrong := map[string]bool{}, map[string]int{}, map[string]string{}
		listed := len(queue)
		for n := 0; n < len(queue); n++ {
			path, _, _ := strings.Cut(queue[n], "#")
			kind := kindOf(path)
			if seen[path] || n >= listed && (kinds[kind] >= 1 || len(seen) >= 400) {
				continue
			}
			seen[path] = true
			kinds[kind]++
			who := b
			if path == "/sign-in" {
				who = anybody
			}
			r := who.get(path)
			if r.code >= 300 && r.code < 400 {
				queue = append(queue, r.header.Get("Location"))
				continue
			}
			if r.code >= 500 && r.code != 501 || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
				if r.code >= 500 {
					t.Errorf("%s %s: %d", lang, path, r.code)
				}
				continue
			}
			if n < listed {
				want := http.StatusOK
				if path == "/no/such/page" {
					want = http.StatusNotFound
				}
				r.want(t, want, `<html lang="`+lang+`">`, "</html>")
				inertPage(t, lang+" "+path, r)
			}
			p := read(t, path, r.body)
			queue = append(queue, p.links...)
			if p.lang != lang || p.title == "" || p.headings != 1 || p.ways == 0 {
				t.Errorf("%s %s: lang %q, title %q, %d main headings, %d links and controls", lang, path, p.lang, p.title, p.headings, p.ways)
			}
			if len(p.stands) > 1 {
				t.Errorf("%s %s: %d actions stand out at once: %q", lang, path, len(p.stands), p.stands)
			}
			for _, text := range p.words {
				if lang == "en" {
					if strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, japanese...) }) {
						wrong[text] = path
					}
					continue
				}
				for _, w := range latinWord.FindAllString(noWord.ReplaceAllString(text, " "), -1) {
					if used[w] = true; !allowed[w] {
						wrong[w] = path + " " + text
					}
				}
			}
		}
		for text, path := range wrong {
			t.Errorf("%s %s: %.200q", lang, path, text)
		}
		if len(wrong) > 0 {
			t.Errorf("%s: translate these; words of others go through cell, line, prose or own, or into an element with translate=\"no\"; a Latin word that is right in Japanese goes into testdata/latin_words.txt", lang)
		}
		if len(seen) < len(x.paths()) {
			t.Errorf("%s: only %d pages were seen", lang, len(seen))
		}
	}
	if x.log.Len() > 0 {
		t.Errorf("the console logged:\n%s", x.log)
	}
	for w := range allowed {
		if !used[w] && testing.Verbose() {
			t.Logf("%q stands in the list of Latin words and on no page", w)
		}
	}
}
