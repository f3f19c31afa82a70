// Package playbook keeps what is to be done in an incident (対応手順): the items of the
// guide as data, what was done of them in each incident, and what an item should wait
// for. It knows nothing of evidence, commands, contacts or HTML: what was measured is
// told to it.
package playbook

import (
	"slices"

	"hozen/collector/internal/dataset"
)

// Common is the key of the common page, which is shown while the type of an incident is
// not known (不明), and from which every playbook inherits.
const Common = "common"

// Text is one text in both languages.
type Text = dataset.Text

// Mode is how an item is done.
type Mode string

// The modes.
const (
	Auto   Mode = "auto"   // the product does it by itself
	Assist Mode = "assist" // one click of a person, the product does it
	Record Mode = "record" // the product has the form, a person knows the facts
	Decide Mode = "decide" // somebody chooses; choice and reason are recorded
	Remind Mode = "remind" // it happens outside of the product
)

// Modes returns all modes.
func Modes() []Mode { return []Mode{Auto, Assist, Record, Decide, Remind} }

// Fact is something that the product measures and no one ticks.
type Fact string

// The facts; their words are in the frame.
const (
	EvidenceSealed    Fact = "evidence_sealed"    // evidence of every endpoint of the incident was received
	IsolationMeasured Fact = "isolation_measured" // every endpoint of the incident is measured isolated
	TimelineKept      Fact = "timeline_kept"
)

// Facts returns all facts.
func Facts() []Fact { return []Fact{EvidenceSealed, IsolationMeasured, TimelineKept} }

// Truth is what a measurement says; the zero value is not known, which is never yes.
type Truth int

// The truths.
const (
	Unknown Truth = iota
	No
	Yes
)

// String returns "yes", "no" or "unknown".
func (t Truth) String() string { return [...]string{"unknown", "no", "yes"}[t] }

// Measured is what is known of the facts; what is missing is unknown.
type Measured map[Fact]Truth

// Who does an item.
const (
	ByOwner       = "owner"
	ByResponsible = "responsible"
	ByHandler     = "handler"
	ByUser        = "user"   // the person at the PC
	ByVendor      = "vendor" // an outside expert
)

// Whos returns everybody who does items.
func Whos() []string { return []string{ByOwner, ByResponsible, ByHandler, ByUser, ByVendor} }

// Acts returns the names of what the product offers beside an item; the console knows
// where each is done.
func Acts() []string {
	return []string{"isolate", "isolate_group", "release", "acquire", "power_off", "export", "record", "decisions", "enquiries", "documents", "exhibit", "contacts", "call_sheet", "deadlines"}
}

// RecordItems returns the keys of the ten items of the record, in the guide's order.
func RecordItems() []string {
	return []string{"type", "organization", "people", "discovered_at", "occurred_at", "symptoms", "timeline", "cause", "assets", "tools"}
}

// Item is one thing to do. Field tags are the data format, which
// internal/docs/design/playbooks.md describes.
type Item struct {
	ID      string   `toml:"id"` // of its playbook, such as "malware.contain.2"; stable for ever: it stands in ledgers
	Substep string   `toml:"substep"`
	Mode    Mode     `toml:"mode"`
	Who     []string `toml:"who"`
	// Page is the page of the guide that says it; Ours means that the guide does not.
	Page string `toml:"page"`
	Ours bool   `toml:"ours"`
	// Own means that the organisation added it, see [Book.With].
	Own bool `toml:"-"`
	// Covers are what it is about; an item of the common page with one of them that another
	// playbook has is not inherited by that.
	Covers []string `toml:"covers"`
	Fills  []string `toml:"fills"` // items of the record
	Act    string   `toml:"act"`   // what the product offers for it
	Fact   Fact     `toml:"fact"`  // what the product measures of it; done by itself in the mode auto
	// Gates are what it should wait for: facts, or items of the same playbook.
	Gates     []string `toml:"gates"`
	Clocks    []string `toml:"clocks"`
	Contacts  []string `toml:"contacts"`
	Footnotes []string `toml:"footnotes"`
	// When says in which case it is to be done at all; such an item is never proposed as
	// the next.
	When Text `toml:"when"`
	Text Text `toml:"text"`
}

// Conditional reports whether the item is for some cases only.
func (i Item) Conditional() bool { return i.When != Text{} }

// Playbook is the data of one page: four of the guide's types, and the common one.
type Playbook struct {
	Format    string `toml:"format"`
	Key       string `toml:"key"` // as the classification of an incident, or [Common]
	Name      Text   `toml:"name"`
	FirstHour Text   `toml:"first_hour"`
	// Implies are types that an incident of this type is of too, MayBe those to think of.
	Implies []string `toml:"implies"`
	MayBe   []string `toml:"may_be"`
	Without []string `toml:"without"` // items of the common page that make no sense here
	Items   []Item   `toml:"item"`
}

// Step is a heading of an edition of the guide with what stands below it.
type Step struct {
	Name     Text     `toml:"name"`
	Substeps []string `toml:"substeps"`
}

// Edition is an order of steps.
type Edition struct {
	Key   string `toml:"key"`
	Name  Text   `toml:"name"`
	Steps []Step `toml:"step"`
}

// Named is a word of the frame.
type Named struct {
	Key  string `toml:"key"`
	Name Text   `toml:"name"`
}

// Page is a page of the guide.
type Page struct {
	Key   string `toml:"key"`
	Title Text   `toml:"title"`
}

// Footnote is a note (★) of the guide.
type Footnote struct {
	Key  string `toml:"key"`
	Mark string `toml:"mark"`
	Text Text   `toml:"text"`
}

// FactWords says what a fact means, by what was measured.
type FactWords struct {
	Key     Fact `toml:"key"`
	Yes     Text `toml:"yes"`
	No      Text `toml:"no"`
	Unknown Text `toml:"unknown"`
}

// Of returns the words for what was measured.
func (w FactWords) Of(t Truth) Text {
	return [...]Text{w.Unknown, w.No, w.Yes}[t]
}

// Frame is what all playbooks share.
type Frame struct {
	Format    string      `toml:"format"`
	Use       string      `toml:"use"` // key of the edition that is used
	Editions  []Edition   `toml:"edition"`
	Pages     []Page      `toml:"page"`
	Substeps  []Named     `toml:"substep"`
	Footnotes []Footnote  `toml:"footnote"`
	Facts     []FactWords `toml:"fact"`
}

// Book is everything; it never changes once it is read.
type Book struct {
	frame   Frame
	edition Edition
	books   []Playbook // the common page first
}

// Edition returns the edition in use.
func (b *Book) Edition() Edition { return b.edition }

// Keys returns the keys of all playbooks, the common page first.
func (b *Book) Keys() []string {
	var keys []string
	for _, p := range b.books {
		keys = append(keys, p.Key)
	}
	return keys
}

// Find returns a playbook as it was read.
func (b *Book) Find(key string) (Playbook, bool) {
	n := slices.IndexFunc(b.books, func(p Playbook) bool { return p.Key == key })
	if n < 0 {
		return Playbook{}, false
	}
	return b.books[n], true
}

// Substep returns the name of a substep; the loader has seen to it that there is one.
func (b *Book) Substep(key string) Text {
	n := slices.IndexFunc(b.frame.Substeps, func(s Named) bool { return s.Key == key })
	if n < 0 {
		return Text{}
	}
	return b.frame.Substeps[n].Name
}

// Page returns the title of a page of the guide.
func (b *Book) Page(key string) Text {
	n := slices.IndexFunc(b.frame.Pages, func(p Page) bool { return p.Key == key })
	if n < 0 {
		return Text{}
	}
	return b.frame.Pages[n].Title
}

// Footnote returns a footnote of the guide.
func (b *Book) Footnote(key string) Footnote {
	n := slices.IndexFunc(b.frame.Footnotes, func(f Footnote) bool { return f.Key == key })
	if n < 0 {
		return Footnote{}
	}
	return b.frame.Footnotes[n]
}

// Words returns what a fact means.
func (b *Book) Words(f Fact) FactWords {
	n := slices.IndexFunc(b.frame.Facts, func(w FactWords) bool { return w.Key == f })
	if n < 0 {
		return FactWords{}
	}
	return b.frame.Facts[n]
}

// Item finds an item of any playbook by its identifier.
func (b *Book) Item(id string) (Item, bool) {
	for _, p := range b.books {
		if n := slices.IndexFunc(p.Items, func(i Item) bool { return i.ID == id }); n >= 0 {
			return p.Items[n], true
		}
	}
	return Item{}, false
}
