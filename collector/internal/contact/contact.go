// Package contact keeps whom to call in an incident: the desks that come with the product
// as data, and those of the organisation itself. It says who can be reached at a moment
// that it is told. It knows nothing of incidents or HTML.
package contact

import (
	"embed"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"hozen/collector/internal/calendar"
	"hozen/collector/internal/dataset"
)

//go:embed data/*.toml
var embedded embed.FS

// Text is one text in both languages.
type Text = dataset.Text

// How well an entry is known.
const (
	GuideOnly   = "guide_only"  // as the guide prints it, not compared
	Confirmed   = "confirmed"   // a second public source agrees
	Superseded  = "superseded"  // a second public source has a newer one
	Conflict    = "conflict"    // public sources differ
	Unconfirmed = "unconfirmed" // not in the guide, from one public source
)

// Checks returns how well entries can be known.
func Checks() []string { return []string{GuideOnly, Confirmed, Superseded, Conflict, Unconfirmed} }

// Value is a number or an address by which somebody is reached.
type Value struct {
	Value string `toml:"value"`
	Label Text   `toml:"label"`
	// GuideValue is what the guide prints where that is wrong. It is only ever shown: never
	// dialled, mailed or linked.
	GuideValue string `toml:"guide_value"`
	GuideNote  Text   `toml:"guide_note"`
}

// Hours are when somebody answers, by the clocks of Japan.
type Hours struct {
	Text     Text        `toml:"text"`
	Weekdays [][2]string `toml:"weekdays"` // "10:00" to "12:00"; empty: not known
	Saturday [][2]string `toml:"saturday"` // empty: as on weekdays, unless closed
	Closed   []string    `toml:"closed"`   // "sat", "sun", "jp_holiday", "year_end"
}

// Desk is one entry of the list that comes with the product.
type Desk struct {
	ID        string   `toml:"id"`
	Category  string   `toml:"category"`
	Also      []string `toml:"also"` // further categories
	Ours      bool     `toml:"ours"` // not in the guide
	Regions   []string `toml:"regions"`
	Playbooks []string `toml:"playbooks"`
	Instead   string   `toml:"instead"` // desk that companies should rather use
	Check     string   `toml:"check"`
	Org       Text     `toml:"org"`
	Name      Text     `toml:"name"`
	Purpose   Text     `toml:"purpose"`
	Note      Text     `toml:"note"`
	Prepare   []Text   `toml:"prepare"` // to have at hand before calling
	URLs      []Value  `toml:"url"`
	Tels      []Value  `toml:"tel"`
	Mails     []Value  `toml:"mail"`
	Hours     Hours    `toml:"hours"`
}

// Category is what desks are for.
type Category struct {
	Key  string `toml:"key"`
	Name Text   `toml:"name"`
	When Text   `toml:"when"`
}

// Region is a prefecture.
type Region struct {
	Key  string `toml:"key"`
	Name Text   `toml:"name"`
}

type contactsFile struct {
	Format     string         `toml:"format"`
	Reviewed   toml.LocalDate `toml:"reviewed_on"`
	StaleAfter int            `toml:"stale_after_days"`
	Categories []Category     `toml:"category"`
	Contacts   []Desk         `toml:"contact"`
}

type regionsFile struct {
	Format  string   `toml:"format"`
	Regions []Region `toml:"region"`
}

// Book is the list that comes with the product; it never changes once it is read.
type Book struct {
	contactsFile
	regions []Region
	days    *calendar.Calendar
}

// Load reads the list that comes with the product.
func Load(days *calendar.Calendar) (*Book, error) {
	data, err := fs.Sub(embedded, "data")
	if err != nil {
		return nil, fmt.Errorf("load contacts: %w", err)
	}
	return Read(data, days)
}

// Read reads "contacts.toml" and "regions.toml" from a folder.
func Read(data fs.FS, days *calendar.Calendar) (*Book, error) {
	b := &Book{days: days}
	var r regionsFile
	if err := dataset.Decode(data, "regions.toml", &r); err != nil {
		return nil, fmt.Errorf("load contacts: %w", err)
	}
	if err := dataset.Decode(data, "contacts.toml", &b.contactsFile); err != nil {
		return nil, fmt.Errorf("load contacts: %w", err)
	}
	b.regions = r.Regions
	c := &dataset.Checker{}
	for name, formats := range map[string][2]string{"contacts": {b.Format, "hozen-contacts/1"}, "regions": {r.Format, "hozen-regions/1"}} {
		if formats[0] != formats[1] {
			c.Fault("the %s have the format %q, want %q", name, formats[0], formats[1])
		}
	}
	b.check(c)
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("load contacts: %w", err)
	}
	return b, nil
}

func (b *Book) check(c *dataset.Checker) {
	if b.StaleAfter < 1 {
		c.Fault("the list never gets stale")
	}
	if b.Reviewed.Year == 0 {
		c.Fault("the list was never reviewed")
	}
	categories := dataset.Keys(b.Categories, func(g Category) string { return g.Key })
	regions := dataset.Keys(b.regions, func(r Region) string { return r.Key })
	ids := dataset.Keys(b.Contacts, func(d Desk) string { return d.ID })
	c.Once("category", categories)
	c.Once("region", regions)
	c.Once("contact", ids)
	for _, g := range b.Categories {
		c.Text("category "+g.Key, g.Name)
		c.Text("when of "+g.Key, g.When)
	}
	for _, r := range b.regions {
		c.Text("region "+r.Key, r.Name)
	}
	for _, d := range b.Contacts {
		c.Known(d.ID, categories, append([]string{d.Category}, d.Also...)...)
		c.Known(d.ID, regions, d.Regions...)
		c.Known(d.ID, Checks(), d.Check)
		if d.Instead != "" {
			c.Known(d.ID, ids, d.Instead)
		}
		for what, t := range map[string]Text{"org": d.Org, "name": d.Name, "purpose": d.Purpose} {
			c.Text(what+" of "+d.ID, t)
		}
		for _, t := range d.Prepare {
			c.Text("prepare of "+d.ID, t)
		}
		optional(c, "note of "+d.ID, d.Note)
		optional(c, "hours of "+d.ID, d.Hours.Text)
		c.Known("closed of "+d.ID, []string{closedSat, closedSun, closedHoliday, closedYearEnd}, d.Hours.Closed...)
		for _, windows := range [][][2]string{d.Hours.Weekdays, d.Hours.Saturday} {
			checkWindows(c, d.ID, windows)
		}
		b.checkValues(c, d)
	}
}

func optional(c *dataset.Checker, where string, t Text) {
	if (t != Text{}) {
		c.Text(where, t)
	}
}

func checkWindows(c *dataset.Checker, id string, windows [][2]string) {
	last := -1
	for _, w := range windows {
		from, err1 := minutes(w[0])
		to, err2 := minutes(w[1])
		if err1 != nil || err2 != nil || from >= to || from < last {
			c.Fault("%s has the hours %v", id, windows)
			return
		}
		last = to
	}
}

func (b *Book) checkValues(c *dataset.Checker, d Desk) {
	for _, v := range d.URLs {
		u, err := url.Parse(v.Value)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			c.Fault("%s has the address %q", d.ID, v.Value)
		}
	}
	for _, v := range d.Tels {
		if dial(v.Value) == "" {
			c.Fault("%s has the number %q", d.ID, v.Value)
		}
	}
	for _, v := range d.Mails {
		if !mailForm(v.Value) {
			c.Fault("%s has the mail address %q", d.ID, v.Value)
		}
	}
	for _, v := range slices.Concat(d.URLs, d.Tels, d.Mails) {
		optional(c, "label of "+d.ID, v.Label)
		if v.GuideValue != "" {
			c.Text("guide_note of "+d.ID, v.GuideNote)
		}
		if v.GuideValue == v.Value {
			c.Fault("%s: what the guide prints is what is used", d.ID)
		}
	}
}

// dial is a number as it is dialled, "0359787509" or "#9110"; empty when it is none.
func dial(s string) string {
	d := strings.NewReplacer("-", "", " ", "", "(", "", ")", "").Replace(s)
	if d == "" || len(d) > 20 || strings.Trim(d, "0123456789+#*") != "" || len(strings.Trim(d, "+#*")) < 3 {
		return ""
	}
	return d
}

// Dial is a number as a telephone takes it; empty when it is none.
func Dial(s string) string { return dial(s) }

func mailForm(s string) bool {
	local, host, ok := strings.Cut(s, "@")
	return ok && local != "" && !strings.HasPrefix(local, ".") && !strings.HasSuffix(local, ".") && strings.Contains(host, ".") && !strings.ContainsAny(s, " <>\"?&,;:\\\n\r\t") && !strings.Contains(host, "@")
}

// Desks returns all entries, by category.
func (b *Book) Desks() []Desk { return slices.Clone(b.Contacts) }

// Desk finds an entry.
func (b *Book) Desk(id string) (Desk, bool) {
	n := slices.IndexFunc(b.Contacts, func(d Desk) bool { return d.ID == id })
	if n < 0 {
		return Desk{}, false
	}
	return b.Contacts[n], true
}

// Regions returns all prefectures.
func (b *Book) Regions() []Region { return slices.Clone(b.regions) }

// ReviewedOn returns the day on which the list was last compared with its sources.
func (b *Book) ReviewedOn() calendar.Date {
	return calendar.Date{Year: b.Reviewed.Year, Month: time.Month(b.Reviewed.Month), Day: b.Reviewed.Day}
}

// Stale reports whether what was reviewed on a day has to be compared again.
func (b *Book) Stale(reviewed calendar.Date, now time.Time) bool {
	return calendar.DateOf(now).Sub(reviewed) > b.StaleAfter
}

// Filter chooses entries; its zero value chooses all.
type Filter struct {
	Playbook string
	Region   string // those of other prefectures are left out
	Open     bool   // only those that answer now, or always
}

// Choose returns the entries that a filter lets through, in the order of the list.
func (b *Book) Choose(f Filter, now time.Time) []Desk {
	var list []Desk
	for _, d := range b.Contacts {
		if f.Playbook != "" && !slices.Contains(d.Playbooks, f.Playbook) ||
			f.Region != "" && len(d.Regions) > 0 && !slices.Contains(d.Regions, f.Region) {
			continue
		}
		if s := b.Reach(d, now); f.Open && s.State != Open && s.State != Web {
			continue
		}
		list = append(list, d)
	}
	return list
}
