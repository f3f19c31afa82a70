// Package manual is the manual of the product in Japanese and English, embedded, so that
// it can be read in an office that is cut off from everything. It knows nothing of the
// console: who reads it, in which frame, and where it stands but for [Root].
//
// A page is a Markdown file, ja/10-isolation.md and en/10-isolation.md: the number orders
// the pages, the rest names it. Every heading has an identifier of its own, such as
// {#release-code}, which is the same in both languages. {{order.isolate.button}} stands for
// the text that the console has under that key, so that the manual names a button as the
// button is named. Links lead to other pages ("people.md#roles"), to headings of the same
// page, and to pages of the console ("/watch"); nothing leads outside, and there is no HTML.
package manual

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"hozen/internal/i18n"
)

// Root is the address of the table of contents; a page stands below it by its name.
const Root = "/help"

//go:embed ja/*.md en/*.md
var files embed.FS

// Manual is all pages in all languages. It does not change after [Load].
type Manual struct {
	pages map[i18n.Language][]Page
}

// Page is one page in one language.
type Page struct {
	Slug  string // the name in the address
	Title string
	Lead  string // the first paragraph, as text
	// HTML is the page without its title. Only what our own files say is in it.
	HTML     string
	Sections []Section // headings of the second and third level, in the order of the page
	Consoles []string  // paths of the console that it links to
	links    []string  // "slug#id" of what it links to in the manual
}

// Section is what stands under one heading, up to the next.
type Section struct {
	ID    string
	Title string
	Level int // 2 or 3
	text  string
}

// Load reads the manual. words gives the text of a key of the console. An error means that
// the build is broken: a page, a heading, a link or a word is missing or malformed.
func Load(words func(l i18n.Language, key string) (string, bool)) (*Manual, error) {
	return load(files, words)
}

func load(fsys fs.FS, words func(l i18n.Language, key string) (string, bool)) (*Manual, error) {
	m := &Manual{pages: map[i18n.Language][]Page{}}
	for _, l := range i18n.Languages() {
		names, err := fs.Glob(fsys, string(l)+"/*.md")
		if err != nil {
			return nil, fmt.Errorf("load manual: %w", err)
		}
		for _, name := range names { // sorted by Glob
			src, err := fs.ReadFile(fsys, name)
			if err != nil {
				return nil, fmt.Errorf("load manual: %w", err)
			}
			number, slug, ok := strings.Cut(strings.TrimSuffix(name[len(l)+1:], ".md"), "-")
			if !ok || len(number) != 2 {
				return nil, fmt.Errorf("load manual: %s is not named like 10-isolation.md", name)
			}
			p, err := render(src, slug, func(key string) (string, bool) { return words(l, key) })
			if err != nil {
				return nil, fmt.Errorf("load manual: %s: %w", name, err)
			}
			m.pages[l] = append(m.pages[l], p)
		}
	}
	return m, m.whole()
}

// whole reports the first link that leads nowhere, and the first difference between the
// languages.
func (m *Manual) whole() error {
	for _, l := range i18n.Languages() {
		for _, p := range m.pages[l] {
			for _, to := range p.links {
				if !m.Has(l, to) {
					return fmt.Errorf("load manual: %s/%s links to %s, which is not there", l, p.Slug, to)
				}
			}
		}
	}
	ja, en := m.pages[i18n.Japanese], m.pages[i18n.English]
	if len(ja) == 0 || len(ja) != len(en) {
		return fmt.Errorf("load manual: %d pages in Japanese, %d in English", len(ja), len(en))
	}
	for i := range ja {
		if ja[i].Slug != en[i].Slug {
			return fmt.Errorf("load manual: page %d is %s in Japanese, %s in English", i+1, ja[i].Slug, en[i].Slug)
		}
		same := func(a, b Section) bool { return a.ID == b.ID && a.Level == b.Level }
		if !slices.EqualFunc(ja[i].Sections, en[i].Sections, same) {
			return fmt.Errorf("load manual: the headings of %s differ: %v in Japanese, %v in English", ja[i].Slug, ids(ja[i]), ids(en[i]))
		}
	}
	return nil
}

func ids(p Page) []string {
	var list []string
	for _, s := range p.Sections {
		list = append(list, s.ID)
	}
	return list
}

// Pages returns the pages of a language in their order. They are not to be changed.
func (m *Manual) Pages(l i18n.Language) []Page { return m.pages[l] }

// Page finds a page by its name, and those before and after it; nil where there is none.
func (m *Manual) Page(l i18n.Language, slug string) (p, previous, next *Page) {
	all := m.pages[l]
	i := slices.IndexFunc(all, func(p Page) bool { return p.Slug == slug })
	if i < 0 {
		return nil, nil, nil
	}
	if i > 0 {
		previous = &all[i-1]
	}
	if i+1 < len(all) {
		next = &all[i+1]
	}
	return &all[i], previous, next
}

// Has reports whether there is what "slug" or "slug#id" names.
func (m *Manual) Has(l i18n.Language, target string) bool {
	slug, id, section := strings.Cut(target, "#")
	p, _, _ := m.Page(l, slug)
	return p != nil && (!section || slices.Contains(ids(*p), id))
}
