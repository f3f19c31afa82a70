package playbook

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"

	"hozen/collector/internal/dataset"
)

//go:embed data/*.toml
var embedded embed.FS

// The formats of the data.
const (
	frameFormat = "hozen-playbook-frame/1"
	bookFormat  = "hozen-playbook/1"
)

// Load reads the playbooks that come with the product.
func Load() (*Book, error) {
	data, err := fs.Sub(embedded, "data")
	if err != nil {
		return nil, fmt.Errorf("load playbooks: %w", err)
	}
	return Read(data)
}

// Read reads playbooks from a folder: "frame.toml", "common.toml" and one file for each
// type. It refuses what is not whole: unknown keys, a missing language, an identifier
// that stands twice, a gate, footnote, page or item that does not exist.
func Read(data fs.FS) (*Book, error) {
	b := &Book{}
	if err := dataset.Decode(data, "frame.toml", &b.frame); err != nil {
		return nil, fmt.Errorf("load playbooks: %w", err)
	}
	names, err := fs.Glob(data, "*.toml")
	if err != nil {
		return nil, fmt.Errorf("load playbooks: %w", err)
	}
	for _, name := range names {
		if name == "frame.toml" {
			continue
		}
		var p Playbook
		if err := dataset.Decode(data, name, &p); err != nil {
			return nil, fmt.Errorf("load playbooks: %w", err)
		}
		if p.Key+".toml" != name {
			return nil, fmt.Errorf("load playbooks: %s has the key %q", name, p.Key)
		}
		b.books = append(b.books, p)
	}
	if n := slices.IndexFunc(b.books, func(p Playbook) bool { return p.Key == Common }); n > 0 {
		common := b.books[n]
		b.books = slices.Insert(slices.Delete(b.books, n, n+1), 0, common)
	}
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("load playbooks: %w", err)
	}
	return b, nil
}

func (b *Book) check() error {
	c := &dataset.Checker{}
	f := b.frame
	if f.Format != frameFormat {
		c.Fault("the frame has the format %q, want %q", f.Format, frameFormat)
	}
	substeps := dataset.Keys(f.Substeps, func(s Named) string { return s.Key })
	c.Once("substep", substeps)
	c.Once("page", dataset.Keys(f.Pages, func(p Page) string { return p.Key }))
	c.Once("footnote", dataset.Keys(f.Footnotes, func(n Footnote) string { return n.Key }))
	c.Once("edition", dataset.Keys(f.Editions, func(e Edition) string { return e.Key }))
	for _, s := range f.Substeps {
		c.Text("substep "+s.Key, s.Name)
	}
	for _, p := range f.Pages {
		c.Text("page "+p.Key, p.Title)
	}
	for _, n := range f.Footnotes {
		c.Text("footnote "+n.Key, n.Text)
	}
	facts := dataset.Keys(f.Facts, func(w FactWords) Fact { return w.Key })
	for _, w := range f.Facts {
		for _, t := range []Text{w.Yes, w.No, w.Unknown} {
			c.Text("fact "+string(w.Key), t)
		}
	}
	c.Once("fact", facts)
	for _, m := range Facts() {
		if !slices.Contains(facts, string(m)) {
			c.Fault("the fact %q has no words", m)
		}
	}
	c.Known("the frame", dataset.Strings(Facts()), facts...)
	for _, e := range f.Editions {
		c.Text("edition "+e.Key, e.Name)
		var all []string
		for _, s := range e.Steps {
			c.Text("step of edition "+e.Key, s.Name)
			all = append(all, s.Substeps...)
		}
		c.Known("edition "+e.Key, substeps, all...)
		for _, s := range substeps {
			if !slices.Contains(all, s) {
				c.Fault("edition %s leaves out the substep %q", e.Key, s)
			}
		}
	}
	n := slices.IndexFunc(f.Editions, func(e Edition) bool { return e.Key == f.Use })
	if n < 0 {
		c.Fault("the frame uses the edition %q, which does not exist", f.Use)
	} else {
		b.edition = f.Editions[n]
	}
	b.checkBooks(c)
	return c.Err()
}

func (b *Book) checkBooks(c *dataset.Checker) {
	common, ok := b.Find(Common)
	if !ok {
		c.Fault("there is no common page")
	}
	var ids, covers []string
	for _, i := range common.Items {
		covers = append(covers, i.Covers...)
	}
	c.Once("matter that the common page covers", covers)
	common1 := dataset.Keys(common.Items, func(i Item) string { return i.ID })
	for _, p := range b.books {
		if p.Format != bookFormat {
			c.Fault("%s has the format %q, want %q", p.Key, p.Format, bookFormat)
		}
		c.Text(p.Key, p.Name)
		c.Text("first_hour of "+p.Key, p.FirstHour)
		c.Known(p.Key, b.Keys(), p.Implies...)
		c.Known(p.Key, b.Keys(), p.MayBe...)
		c.Known(p.Key, common1, p.Without...)
		if len(p.Items) == 0 {
			c.Fault("%s has no items", p.Key)
		}
		for _, i := range p.Items {
			ids = append(ids, i.ID)
			b.checkItem(c, p, i, covers)
		}
	}
	c.Once("item", ids)
}

var idForm = regexp.MustCompile(`^[a-z0-9]+(\.[a-z0-9_]+)+$`)

func (b *Book) checkItem(c *dataset.Checker, p Playbook, i Item, covers []string) {
	f := b.frame
	if !idForm.MatchString(i.ID) || len(i.ID) > 64 {
		c.Fault("%q is no identifier of an item", i.ID)
	}
	c.Text(i.ID, i.Text)
	if i.Conditional() {
		c.Text("when of "+i.ID, i.When)
	}
	c.Known(i.ID, dataset.Keys(f.Substeps, func(s Named) string { return s.Key }), i.Substep)
	c.Known(i.ID, dataset.Strings(Modes()), string(i.Mode))
	c.Known(i.ID, Whos(), i.Who...)
	if len(i.Who) == 0 {
		c.Fault("%s is nobody's", i.ID)
	}
	if (i.Page == "") != i.Ours {
		c.Fault("%s must either name a page of the guide or be marked as ours", i.ID)
	}
	if i.Page != "" {
		c.Known(i.ID, dataset.Keys(f.Pages, func(p Page) string { return p.Key }), i.Page)
	}
	c.Known(i.ID, covers, i.Covers...)
	c.Known(i.ID, RecordItems(), i.Fills...)
	if i.Act != "" {
		c.Known(i.ID, Acts(), i.Act)
	}
	facts := dataset.Strings(Facts())
	if i.Fact != "" {
		c.Known(i.ID, facts, string(i.Fact))
	}
	if i.Mode == Auto && i.Fact == "" {
		c.Fault("%s is done by itself, but nothing says when", i.ID)
	}
	c.Known(i.ID, dataset.Keys(f.Footnotes, func(n Footnote) string { return n.Key }), i.Footnotes...)
	for _, g := range i.Gates {
		if slices.Contains(facts, g) {
			continue
		}
		if g == i.ID || !slices.ContainsFunc(b.planned(p), func(o Item) bool { return o.ID == g }) {
			c.Fault("the gate %q of %s is neither a fact nor another item of its playbook", g, i.ID)
		}
	}
}
