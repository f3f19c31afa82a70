package console

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"hozen/internal/i18n"
)

// TestEveryPageHasItsSection: whoever stands on a page finds what the manual says of it, in
// both languages. A new page needs a line in [helpSections].
func TestEveryPageHasItsSection(t *testing.T) {
	texts, err := Texts()
	must(t, err)
	m, err := loadManual(texts)
	must(t, err)
	sections := helpSections()
	for _, name := range pageNames() {
		if name == "help" || name == "help_page" {
			continue
		}
		for _, l := range i18n.Languages() {
			if to := sections[name]; !strings.Contains(to, "#") || !m.Has(l, to) {
				t.Errorf("%s: the manual (%s) has no section %q", name, l, to)
			}
		}
	}
	for name := range sections {
		if !slices.Contains(pageNames(), name) {
			t.Errorf("%s is no page", name)
		}
	}
}

// TestManual: anybody can read it, whole, and what it links to in the console is there.
func TestManual(t *testing.T) {
	x := newSite(t)
	texts, err := Texts()
	must(t, err)
	m, err := loadManual(texts)
	must(t, err)
	for _, l := range i18n.Languages() {
		anybody, owner := x.browser(string(l)), x.as("owner", string(l))
		pages := m.Pages(l)
		r := anybody.get("/help").want(t, 200, `<html lang="`+string(l)+`">`)
		for i, p := range pages {
			if !strings.Contains(r.body, `href="/help/`+p.Slug+`"`) {
				t.Errorf("%s: the table of contents lacks %s", l, p.Slug)
			}
			page := anybody.get("/help/"+p.Slug).want(t, 200, "<h1>"+p.Title)
			inertPage(t, "/help/"+p.Slug, page)
			if i > 0 && !strings.Contains(page.body, `rel="prev" href="/help/`+pages[i-1].Slug) || i+1 < len(pages) && !strings.Contains(page.body, `rel="next" href="/help/`+pages[i+1].Slug) {
				t.Errorf("%s: %s does not lead on", l, p.Slug)
			}
			for _, s := range p.Sections {
				if !strings.Contains(page.body, ` id="`+s.ID+`"`) {
					t.Errorf("%s: %s has no %s", l, p.Slug, s.ID)
				}
			}
			for _, path := range p.Consoles {
				if r := owner.get(path); r.code != http.StatusOK {
					t.Errorf("%s: %s leads to %s, which answers %d", l, p.Slug, path, r.code)
				}
			}
		}
		anybody.get("/help/no-such-page").want(t, http.StatusNotFound)
		owner.get("/watch").want(t, 200, `href="/help/care#watch"`)
		anybody.get("/sign-in").want(t, 200, `href="/help/people#sign-in"`)
	}
	b := x.browser("ja")
	b.get("/help?q=%E8%A7%A3%E9%99%A4%E3%82%B3%E3%83%BC%E3%83%89").want(t, 200, `href="/help/isolation#release-code"`)
	b.get("/help?q=%3Cscript%3E").want(t, 200, "&lt;script&gt;", texts.Printer(i18n.Japanese).Text("help.none"))
	b.get("/help?q="+strings.Repeat("a", maxQuery+1)).want(t, http.StatusUnprocessableEntity)
}
