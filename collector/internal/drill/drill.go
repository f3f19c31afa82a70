// Package drill keeps what is special about an incident that is a drill (訓練): what was only
// simulated in it, which times are aimed at, and how long it took. It knows nothing of how
// evidence is taken or endpoints are isolated: the moments are told to it.
package drill

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"

	"hozen/collector/internal/calendar"
	"hozen/collector/internal/dataset"
)

// Text is one text in both languages.
type Text = dataset.Text

// Moment is a point of the course of an incident from or to which is measured.
type Moment string

// The moments, in the order in which they should come.
const (
	Reported Moment = "reported" // somebody noticed and said so
	Opened   Moment = "opened"   // the incident was opened
	Evidence Moment = "evidence" // evidence of every endpoint is safe
	Isolated Moment = "isolated" // every endpoint is isolated
	Told     Moment = "told"     // the owner was told
	Document Moment = "document" // the first document was issued
)

// Moments returns all moments in their order.
func Moments() []Moment { return []Moment{Reported, Opened, Evidence, Isolated, Told, Document} }

// What is something that was done in a drill and not for real.
type What string

// What there is. [ToldOwner] is done for real, but only a person knows.
const (
	Isolate   What = "isolate"
	Release   What = "release"
	Acquire   What = "acquire"
	ToldOwner What = "told"
)

// Simulated returns what can be simulated.
func Simulated() []What { return []What{Acquire, Isolate, Release} }

// MaxNote is how long a note is at most, in bytes.
const MaxNote = 1024

// Step is one thing that was simulated or said in a drill; it is never changed.
type Step struct {
	ID             string
	OrganisationID string
	IncidentID     string
	EndpointID     string // empty: it is about the drill as a whole
	What           What
	At             time.Time
	ActorKind      string
	ActorID        string
	ActorName      string
	Note           string
	LedgerIdx      int64
}

// Target is a time that is aimed at, with the reason why.
type Target struct {
	Moment  Moment `toml:"moment" json:"moment"`
	From    Moment `toml:"from" json:"from"`
	Minutes int    `toml:"minutes" json:"minutes"`
	Name    Text   `toml:"name" json:"name"`
	Reason  Text   `toml:"reason" json:"reason"`
}

// Limit is the time that is aimed at.
func (t Target) Limit() time.Duration { return time.Duration(t.Minutes) * time.Minute }

// Book is the targets as data; it never changes once it is read.
type Book struct {
	targets  []Target
	reviewed calendar.Date
}

// Targets returns the targets in the order of their moments.
func (b *Book) Targets() []Target { return slices.Clone(b.targets) }

// Reviewed returns the day on which the targets were last looked at.
func (b *Book) Reviewed() calendar.Date { return b.reviewed }

//go:embed data/*.toml
var embedded embed.FS

const (
	format     = "hozen-drill-targets/1"
	maxMinutes = 7 * 24 * 60
)

type file struct {
	Format   string         `toml:"format"`
	Reviewed toml.LocalDate `toml:"reviewed_on"`
	Targets  []Target       `toml:"target"`
}

// Load reads the targets that come with the product.
func Load() (*Book, error) {
	data, err := fs.Sub(embedded, "data")
	if err != nil {
		return nil, fmt.Errorf("load targets of drills: %w", err)
	}
	return Read(data)
}

// Read reads "targets.toml" of a folder. It refuses what is not whole: an unknown key or
// moment, a moment that has two targets, a target without a reason in both languages.
func Read(data fs.FS) (*Book, error) {
	var f file
	if err := dataset.Decode(data, "targets.toml", &f); err != nil {
		return nil, fmt.Errorf("load targets of drills: %w", err)
	}
	var c dataset.Checker
	if f.Format != format {
		c.Fault("targets.toml has the format %q, want %q", f.Format, format)
	}
	seen := map[Moment]bool{}
	for _, t := range f.Targets {
		at, from := slices.Index(Moments(), t.Moment), slices.Index(Moments(), t.From)
		switch {
		case at < 0 || from < 0:
			c.Fault("target %q from %q: there is no such moment", t.Moment, t.From)
		case from >= at:
			c.Fault("target %q is measured from %q, which comes later", t.Moment, t.From)
		case seen[t.Moment]:
			c.Fault("target %q stands twice", t.Moment)
		}
		if t.Minutes < 1 || t.Minutes > maxMinutes {
			c.Fault("target %q has %d minutes, want 1 to %d", t.Moment, t.Minutes, maxMinutes)
		}
		seen[t.Moment] = true
		c.Text("target "+string(t.Moment)+" name", t.Name)
		c.Text("target "+string(t.Moment)+" reason", t.Reason)
	}
	for _, m := range Moments()[1:] {
		if !seen[m] {
			c.Fault("there is no target for %q", m)
		}
	}
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("load targets of drills: %w", err)
	}
	b := &Book{targets: f.Targets, reviewed: calendar.Date{Year: f.Reviewed.Year, Month: time.Month(f.Reviewed.Month), Day: f.Reviewed.Day}}
	slices.SortFunc(b.targets, func(x, y Target) int { return slices.Index(Moments(), x.Moment) - slices.Index(Moments(), y.Moment) })
	return b, nil
}
