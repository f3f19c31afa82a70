// Package deadline keeps the deadlines of incidents: which clocks there are and how each
// is counted, as data; whether a leak must be reported, as questions and rules; and what
// was set, done and reminded of in each incident. It knows nothing of mail, HTML or where
// the times of an incident come from: they are told to it.
package deadline

import (
	"slices"

	"github.com/pelletier/go-toml/v2"

	"hozen/collector/internal/calendar"
	"hozen/collector/internal/dataset"
)

// Text is one text in both languages.
type Text = dataset.Text

// What starts a clock.
const (
	KnownAt      = "known_at"      // when the organisation knew (知った時)
	DiscoveredAt = "discovered_at" // 発覚日時
)

// When a clock is there.
const (
	Always     = "always"
	Reportable = "reportable" // unless the answers say that it is probably not to be reported
	ForClient  = "client"     // when the answers say that a client has to be told
	Contract   = "contract"   // when a contact of that kind has hours
)

// Kind is on what a clock rests.
type Kind string

// The kinds.
const (
	ByLaw      Kind = "law"
	ByContract Kind = "contract"
	ByProduct  Kind = "product" // a default of ours, which nobody is bound by
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{ByLaw, ByContract, ByProduct} }

// ReminderKind is when somebody is reminded.
type ReminderKind string

// The reminders, in the order in which they come.
const (
	Half    ReminderKind = "half"    // half of the time is over
	Day     ReminderKind = "day"     // 24 hours are left
	Overdue ReminderKind = "overdue" // the time is over
)

// ReminderKinds returns all reminders.
func ReminderKinds() []ReminderKind { return []ReminderKind{Half, Day, Overdue} }

// Clock is one deadline as data; internal/docs/design/playbooks.md describes the format.
// Exactly one of Window, Days, Hours or HoursOf, EveryHours and Soft says how it counts.
type Clock struct {
	ID    string `toml:"id"`
	Start string `toml:"start"`
	When  string `toml:"when"`
	Kind  Kind   `toml:"kind"`
	// Window and Days count days, the day of the start being day 1. DaysIf are others, by
	// the question that is answered yes.
	Window []int          `toml:"window"`
	Days   int            `toml:"days"`
	DaysIf map[string]int `toml:"days_if"`
	// Hours from the start. HoursOf is the kind of contact whose contract says how many;
	// Hours is then what counts without.
	Hours   int    `toml:"hours"`
	HoursOf string `toml:"hours_of"`
	// EveryHours is how often it comes again after it was done.
	EveryHours int            `toml:"every_hours"`
	Soft       bool           `toml:"soft"` // there is no number, only "promptly"
	Contacts   []string       `toml:"contacts"`
	Remind     []ReminderKind `toml:"remind"`
	Name       Text           `toml:"name"`
	Rule       Text           `toml:"rule"`
	Basis      Text           `toml:"basis"`
}

// Question is one thing that decides whether a leak is reported.
type Question struct {
	Key     string   `toml:"key"`
	Answers []string `toml:"answers"`
	Text    Text     `toml:"text"`
	Hint    Text     `toml:"hint"`
}

// Outcome is what the answers come to.
type Outcome struct {
	Key    string `toml:"key"`
	Starts bool   `toml:"starts"` // the clocks that are there when it is reportable run
	Tone   string `toml:"tone"`
	Name   Text   `toml:"name"`
	Next   Text   `toml:"next"`
}

// Rule turns answers into an outcome: the first one whose answers all fit.
type Rule struct {
	Key     string              `toml:"key"`
	Outcome string              `toml:"outcome"`
	Why     Text                `toml:"why"`
	Answers map[string][]string `toml:"answers"`
}

// Note stands beside the outcome when its answers fit.
type Note struct {
	Key     string              `toml:"key"`
	Starts  string              `toml:"starts"` // Optional: "client" starts the clock of the client
	Text    Text                `toml:"text"`
	Answers map[string][]string `toml:"answers"`
}

type clocksFile struct {
	Format   string         `toml:"format"`
	Reviewed toml.LocalDate `toml:"reviewed_on"`
	Clocks   []Clock        `toml:"clock"`
}

type reportableFile struct {
	Format    string         `toml:"format"`
	Reviewed  toml.LocalDate `toml:"reviewed_on"`
	Questions []Question     `toml:"question"`
	Outcomes  []Outcome      `toml:"outcome"`
	Rules     []Rule         `toml:"rule"`
	Notes     []Note         `toml:"note"`
}

// Book is all data about deadlines; it never changes once it is read.
type Book struct {
	clocks   []Clock
	report   reportableFile
	reviewed calendar.Date // the older of the two files
	days     *calendar.Calendar
}

// Clocks returns all clocks.
func (b *Book) Clocks() []Clock { return slices.Clone(b.clocks) }

// Questions returns the questions in the order in which they are asked.
func (b *Book) Questions() []Question { return slices.Clone(b.report.Questions) }

// Reviewed returns the day on which the data were last compared with their sources.
func (b *Book) Reviewed() calendar.Date { return b.reviewed }

// Clock finds a clock.
func (b *Book) Clock(id string) (Clock, bool) {
	n := slices.IndexFunc(b.clocks, func(c Clock) bool { return c.ID == id })
	if n < 0 {
		return Clock{}, false
	}
	return b.clocks[n], true
}

// Answers are what was answered, by question. A question without an answer counts as
// unknown.
type Answers map[string]string

// Verdict is what answers come to. It is never a legal opinion.
type Verdict struct {
	Outcome Outcome
	Rule    string // that decided
	Why     Text
	Notes   []Note
}

// Starts reports whether a note of the verdict starts a clock.
func (v Verdict) Starts(clock string) bool {
	return slices.ContainsFunc(v.Notes, func(n Note) bool { return n.Starts == clock })
}

// Decide turns answers into a verdict. Where no rule fits it is the outcome "ask".
func (b *Book) Decide(a Answers) Verdict {
	v := Verdict{}
	key := ask
	for _, r := range b.report.Rules {
		if fits(r.Answers, a) {
			key, v.Rule, v.Why = r.Outcome, r.Key, r.Why
			break
		}
	}
	n := slices.IndexFunc(b.report.Outcomes, func(o Outcome) bool { return o.Key == key })
	v.Outcome = b.report.Outcomes[n]
	for _, n := range b.report.Notes {
		if fits(n.Answers, a) {
			v.Notes = append(v.Notes, n)
		}
	}
	return v
}

// ask is the outcome that is there in any case.
const ask = "ask"

// unknown is the answer of who gave none.
const unknown = "unknown"

func fits(want map[string][]string, a Answers) bool {
	for question, some := range want {
		got := a[question]
		if got == "" {
			got = unknown
		}
		if !slices.Contains(some, got) {
			return false
		}
	}
	return true
}
