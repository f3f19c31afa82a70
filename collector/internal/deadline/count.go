package deadline

import (
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/calendar"
)

// Facts are what is known of an incident when its deadlines are counted.
type Facts struct {
	DiscoveredAt time.Time
	KnownAt      time.Time // zero: as DiscoveredAt
	// Answered is the newest verdict; nil while nobody answered.
	Answered *Answered
	// Contracts are the hours of the contracts by the kind of contact, the shortest of each.
	Contracts map[string]int
	// Done are what was done, in the order in which it was recorded.
	Done   []Done
	Client bool // the record names a client whose work it was
	Closed bool // the incident is closed, and the one in which it goes on
	// GoesOn means that it was merged into one that is open: what somebody is bound to runs
	// on from its own times, and only what the product proposes is that one's.
	GoesOn bool
}

// Answered is what was answered at a time, with what it comes to.
type Answered struct {
	Answers Answers
	Verdict Verdict
	Seq     int64
	Note    string
	At      time.Time
	By      string
}

// Done is that something was done about a deadline, such as a report that was submitted.
type Done struct {
	Clock     string
	Seq       int64
	DoneAt    time.Time
	ReceiptNo string
	Note      string
	At        time.Time // when it was recorded
	By        string
	LedgerIdx int64
	Withdrawn *Withdrawal // nil: it stands
}

// Withdrawal is that something was not done about a deadline after all.
type Withdrawal struct {
	Reason    string
	At        time.Time
	By        string
	LedgerIdx int64
}

// LastDone returns what was done last about a clock and stands; nil without.
func LastDone(list []Done, clock string) *Done {
	for n := range slices.Backward(list) {
		if list[n].Clock == clock && list[n].Withdrawn == nil {
			return &list[n]
		}
	}
	return nil
}

// State is how a deadline stands.
type State string

// The states.
const (
	Running     State = "running"
	Provisional State = "provisional" // nobody answered yet whether it must be reported: it runs all the same
	Met         State = "met"
	Unset       State = "unset" // the contract's hours are not known
	Off         State = "off"   // by the answers it does not apply
	Soft        State = "soft"  // "promptly", without a number
	Ended       State = "ended" // the incident is closed
)

// Deadline is one clock in one incident.
type Deadline struct {
	Clock Clock
	State State
	// Start is the moment it counts from. From is the first day of a window; zero without.
	// Due is the moment at which the time is over: midnight after the last day, for clocks
	// that count days. Zero where there is none.
	Start time.Time
	From  calendar.Date
	Due   time.Time
	// Counted is how it was counted, such as "days:60", for the record.
	Counted string
	// Workday is the last day on which offices are open before the time is over, when that
	// is not the last day itself; zero otherwise.
	Workday calendar.Date
	// HolidaysUnknown means that the holidays of that year are not known.
	HolidaysUnknown bool
	Met             *Done // the newest that stands
}

// Dated reports whether there is a date.
func (d Deadline) Dated() bool { return !d.Due.IsZero() }

// Ticking reports whether the time still runs.
func (d Deadline) Ticking() bool {
	return d.Dated() && (d.State == Running || d.State == Provisional)
}

// LastDay is the last day that a deadline leaves; zero where there is none.
func (d Deadline) LastDay() calendar.Date {
	if d.Due.IsZero() {
		return calendar.Date{}
	}
	return calendar.DateOf(d.Due.Add(-1))
}

// InWindow reports whether the window has begun.
func (d Deadline) InWindow(now time.Time) bool {
	return !d.From.IsZero() && !now.Before(d.From.Start())
}

// Overdue reports whether the time is over and nothing was done.
func (d Deadline) Overdue(now time.Time) bool { return d.Ticking() && !now.Before(d.Due) }

// Count counts every deadline of an incident.
func (b *Book) Count(f Facts) []Deadline {
	if f.KnownAt.IsZero() {
		f.KnownAt = f.DiscoveredAt
	}
	list := make([]Deadline, 0, len(b.clocks))
	for _, c := range b.clocks {
		list = append(list, b.count(c, f))
	}
	return list
}

func (b *Book) count(c Clock, f Facts) Deadline {
	d := Deadline{Clock: c, State: Running, Start: f.DiscoveredAt}
	if c.Start == KnownAt {
		d.Start = f.KnownAt
	}
	d.Met = LastDone(f.Done, c.ID)
	switch {
	case c.When == Reportable && f.Answered == nil:
		d.State = Provisional
	case c.When == Reportable && !f.Answered.Verdict.Outcome.Starts,
		c.When == ForClient && !f.Client && (f.Answered == nil || !f.Answered.Verdict.Starts(ForClient)):
		d.State = Off
	}
	switch {
	case len(c.Window) > 0:
		first := calendar.DateOf(d.Start)
		d.From = first.Add(c.Window[0] - 1)
		d.Due = first.Add(c.Window[1] - 1).End()
		d.Counted = "days:" + strconv.Itoa(c.Window[0]) + "-" + strconv.Itoa(c.Window[1])
	case c.Days > 0:
		days := c.Days
		for q, n := range c.DaysIf {
			if f.Answered != nil && f.Answered.Answers[q] == "yes" {
				days = n
			}
		}
		d.Due = calendar.DateOf(d.Start).Add(days - 1).End()
		d.Counted = "days:" + strconv.Itoa(days)
	case c.EveryHours > 0:
		if d.Met != nil && d.Met.DoneAt.After(d.Start) {
			d.Start = d.Met.DoneAt
		}
		d.Due = d.Start.Add(time.Duration(c.EveryHours) * time.Hour)
		d.Counted = "every:" + strconv.Itoa(c.EveryHours) + "h"
	case c.Soft:
		if d.State == Running || d.State == Provisional {
			d.State = Soft
		}
	default:
		hours := f.Contracts[c.HoursOf]
		if hours == 0 {
			hours = c.Hours
		}
		if hours == 0 {
			d.State = Unset
			break
		}
		d.Due = d.Start.Add(time.Duration(hours) * time.Hour)
		d.Counted = "hours:" + strconv.Itoa(hours)
	}
	switch {
	case d.Met != nil && c.EveryHours == 0:
		d.State = Met
	case f.Closed && (c.Kind != ByLaw || d.State == Provisional):
		// What the law is known to ask for does not end with the incident.
		d.State = Ended
	case f.GoesOn && !f.Closed && c.Kind == ByProduct:
		d.State = Ended
	}
	if d.Dated() && (len(c.Window) > 0 || c.Days > 0) {
		last := d.LastDay()
		d.HolidaysUnknown = !b.days.Knows(last.Year)
		if w := b.days.LastWorkday(last); w != last {
			d.Workday = w
		}
	}
	return d
}

// Reminder is one that is due.
type Reminder struct {
	Clock Clock
	Kind  ReminderKind
	At    time.Time // from when on
}

// moments are when a deadline is reminded of, in order.
func (d Deadline) moments() []Reminder {
	var list []Reminder
	half := d.Start.Add(d.Due.Sub(d.Start) / 2)
	for _, k := range d.Clock.Remind {
		r := Reminder{Clock: d.Clock, Kind: k}
		switch k {
		case Half:
			r.At = half
		case Day:
			r.At = d.Due.Add(-24 * time.Hour)
			if r.At.Before(half) {
				continue // a deadline so short is half over when a day is left
			}
		case Overdue:
			r.At = d.Due
		}
		list = append(list, r)
	}
	return list
}

// Reminders returns which reminders of a deadline have come by now, in order; none for
// one that no longer runs.
func (d Deadline) Reminders(now time.Time) []Reminder {
	if !d.Ticking() {
		return nil
	}
	var list []Reminder
	for _, r := range d.moments() {
		if !now.Before(r.At) {
			list = append(list, r)
		}
	}
	return list
}
