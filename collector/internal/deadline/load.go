package deadline

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

//go:embed data/*.toml
var embedded embed.FS

// The formats of the data.
const (
	clocksFormat     = "hozen-deadlines/1"
	reportableFormat = "hozen-reportable/1"
)

// Load reads the deadlines that come with the product.
func Load(days *calendar.Calendar) (*Book, error) {
	data, err := fs.Sub(embedded, "data")
	if err != nil {
		return nil, fmt.Errorf("load deadlines: %w", err)
	}
	return Read(data, days)
}

// Read reads "clocks.toml" and "reportable.toml" from a folder.
func Read(data fs.FS, days *calendar.Calendar) (*Book, error) {
	b := &Book{days: days}
	var clocks clocksFile
	if err := dataset.Decode(data, "clocks.toml", &clocks); err != nil {
		return nil, fmt.Errorf("load deadlines: %w", err)
	}
	if err := dataset.Decode(data, "reportable.toml", &b.report); err != nil {
		return nil, fmt.Errorf("load deadlines: %w", err)
	}
	b.clocks = clocks.Clocks
	b.reviewed = dateOf(clocks.Reviewed)
	if r := dateOf(b.report.Reviewed); r.Before(b.reviewed) {
		b.reviewed = r
	}
	c := &dataset.Checker{}
	if clocks.Format != clocksFormat {
		c.Fault("the clocks have the format %q, want %q", clocks.Format, clocksFormat)
	}
	if b.report.Format != reportableFormat {
		c.Fault("the questions have the format %q, want %q", b.report.Format, reportableFormat)
	}
	b.checkClocks(c)
	b.checkReport(c)
	if err := c.Err(); err != nil {
		return nil, fmt.Errorf("load deadlines: %w", err)
	}
	return b, nil
}

func dateOf(d toml.LocalDate) calendar.Date {
	return calendar.Date{Year: d.Year, Month: time.Month(d.Month), Day: d.Day}
}

func (b *Book) questions() []string {
	return dataset.Keys(b.report.Questions, func(q Question) string { return q.Key })
}

func (b *Book) checkClocks(c *dataset.Checker) {
	c.Once("clock", dataset.Keys(b.clocks, func(k Clock) string { return k.ID }))
	for _, k := range b.clocks {
		c.Known(k.ID, []string{KnownAt, DiscoveredAt}, k.Start)
		c.Known(k.ID, []string{Always, Reportable, ForClient, Contract}, k.When)
		c.Known(k.ID, dataset.Strings(Kinds()), string(k.Kind))
		c.Known(k.ID, dataset.Strings(ReminderKinds()), dataset.Strings(k.Remind)...)
		for what, t := range map[string]Text{"name": k.Name, "rule": k.Rule, "basis": k.Basis} {
			c.Text(what+" of "+k.ID, t)
		}
		ways := 0
		for _, way := range []bool{len(k.Window) > 0, k.Days != 0, k.Hours != 0 || k.HoursOf != "", k.EveryHours != 0, k.Soft} {
			if way {
				ways++
			}
		}
		if ways != 1 {
			c.Fault("%s must count in one way, and has %d", k.ID, ways)
		}
		if len(k.Window) > 0 && (len(k.Window) != 2 || k.Window[0] < 1 || k.Window[1] < k.Window[0]) {
			c.Fault("%s has the window %v", k.ID, k.Window)
		}
		if k.Days < 0 || k.Hours < 0 || k.EveryHours < 0 || k.Days > 3660 || k.Hours > 87600 || k.EveryHours > 87600 {
			c.Fault("%s counts out of range", k.ID)
		}
		if k.When == Contract && k.HoursOf == "" {
			c.Fault("%s waits for a contract and does not say whose", k.ID)
		}
		for q, n := range k.DaysIf {
			c.Known("days_if of "+k.ID, b.questions(), q)
			if k.Days == 0 || n < 1 {
				c.Fault("days_if of %s", k.ID)
			}
		}
	}
}

func (b *Book) checkReport(c *dataset.Checker) {
	r := b.report
	outcomes := dataset.Keys(r.Outcomes, func(o Outcome) string { return o.Key })
	c.Once("question", b.questions())
	c.Once("outcome", outcomes)
	c.Once("rule", dataset.Keys(r.Rules, func(r Rule) string { return r.Key }))
	c.Once("note", dataset.Keys(r.Notes, func(n Note) string { return n.Key }))
	for _, q := range r.Questions {
		c.Text("question "+q.Key, q.Text)
		if (q.Hint != Text{}) {
			c.Text("hint of "+q.Key, q.Hint)
		}
		c.Once("answer of "+q.Key, q.Answers)
		if !slices.Contains(q.Answers, unknown) {
			c.Fault("nobody can answer %s with unknown", q.Key)
		}
	}
	for _, o := range r.Outcomes {
		c.Text("outcome "+o.Key, o.Name)
		c.Text("next of "+o.Key, o.Next)
		// Nothing about reporting is ever shown as well and done.
		c.Known("tone of "+o.Key, []string{"bad", "warn", "unknown"}, o.Tone)
	}
	if !slices.Contains(outcomes, ask) {
		c.Fault("there is no outcome %q", ask)
	}
	for _, u := range r.Rules {
		c.Text("why of "+u.Key, u.Why)
		c.Known("rule "+u.Key, outcomes, u.Outcome)
		b.checkAnswers(c, "rule "+u.Key, u.Answers)
	}
	for _, n := range r.Notes {
		c.Text("note "+n.Key, n.Text)
		b.checkAnswers(c, "note "+n.Key, n.Answers)
		if n.Starts != "" {
			c.Known("note "+n.Key, []string{ForClient}, n.Starts)
		}
	}
}

func (b *Book) checkAnswers(c *dataset.Checker, where string, want map[string][]string) {
	if len(want) == 0 {
		c.Fault("%s fits everything", where)
	}
	for key, some := range want {
		n := slices.IndexFunc(b.report.Questions, func(q Question) bool { return q.Key == key })
		if n < 0 {
			c.Fault("%s names the question %q, which does not exist", where, key)
			continue
		}
		c.Known(where, b.report.Questions[n].Answers, some...)
	}
}
