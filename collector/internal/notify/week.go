package notify

import (
	"strconv"
	"strings"
	"time"

	"hozen/internal/i18n"
)

// Week is how things are, for somebody who looks once a week: numbers and times, and no
// name that a person or a PC gave.
type Week struct {
	// Endpoints is how many there should be, Heard of how many of them something was heard
	// in the last 7 days.
	Endpoints int `json:"endpoints"`
	Heard     int `json:"heard"`
	// Concerns are those of the watch, by their codes; what is urgent comes first.
	Concerns []WeekConcern `json:"concerns,omitempty"`
	// Planned means that backups are made by the clock. BackupAt is when the newest was
	// complete, ProvedAt when one was last read back; zero: never, as far as is known.
	Planned  bool      `json:"backups_planned"`
	BackupAt time.Time `json:"backup_at,omitzero"`
	ProvedAt time.Time `json:"backup_proved_at,omitzero"`
	// CertificateUntil is the end of the certificate of the collector or of its CA that ends
	// first; zero: not known.
	CertificateUntil time.Time `json:"certificate_until,omitzero"`
	// Incidents are those that are open or have a deadline that runs, those with unknown
	// deadlines first, then the soonest; More is how many more there are.
	Incidents []WeekIncident `json:"incidents,omitempty"`
	More      int            `json:"more_incidents,omitempty"`
	// Drills is how many there were in the last 7 days, of isolation and of playbooks, DrillAt
	// when the newest was; zero: none is known.
	Drills  int       `json:"drills"`
	DrillAt time.Time `json:"drill_at,omitzero"`
}

// WeekConcern is how many endpoints one concern is about, or 1 where it is the collector's.
type WeekConcern struct {
	Code   string `json:"code"`
	Count  int    `json:"count"`
	Urgent bool   `json:"urgent,omitempty"`
}

// WeekIncident is one incident with its next deadline.
type WeekIncident struct {
	Number string    `json:"incident"`
	Clock  string    `json:"clock,omitempty"` // as [Event.Clock]; empty: no deadline runs
	Due    time.Time `json:"due,omitzero"`
	Late   int       `json:"late,omitempty"` // deadlines whose time is over
	// Unknown means that something of the record can't be read, so that nobody knows what its
	// deadlines are.
	Unknown bool `json:"unknown,omitempty"`
}

// Needs counts what somebody has to look at. Without endpoints nothing is watched, which
// is one thing too.
func (w Week) Needs() int {
	n := len(w.Concerns) + len(w.Incidents) + w.More
	if w.Endpoints == 0 {
		n++
	}
	return n
}

// Drill counts a drill of that moment.
func (w *Week) Drill(at, now time.Time) {
	if at.After(w.DrillAt) {
		w.DrillAt = at
	}
	if now.Sub(at) < 7*24*time.Hour {
		w.Drills++
	}
}

// weekWords says a week in lines.
func weekWords(p i18n.Printer, e Event) string {
	w := e.Week
	if w == nil {
		w = &Week{}
	}
	var lines []string
	say := func(key string, pairs ...string) { lines = append(lines, p.Text("week."+key, pairs...)) }
	number := strconv.Itoa
	known := func(at time.Time) string {
		if at.IsZero() {
			return p.Text("week.unknown")
		}
		return clock(at)
	}
	say("at", "at", clock(e.At))
	if n := w.Needs(); n == 0 {
		say("nothing")
	} else {
		say("needs", "n", number(n))
	}
	lines = append(lines, "")
	if w.Endpoints == 0 {
		say("endpoints.none")
	} else {
		say("endpoints", "heard", number(w.Heard), "n", number(w.Endpoints))
	}
	for _, c := range w.Concerns {
		what := p.Text("week.concern.other")
		if p.Has("week.concern." + c.Code) {
			what = p.Text("week.concern."+c.Code, "n", number(c.Count))
		}
		if c.Urgent {
			what = p.Text("week.urgent", "what", what)
		}
		lines = append(lines, p.Text("week.item", "what", what))
	}
	switch {
	case !w.Planned:
		say("backup.none")
	case w.BackupAt.IsZero():
		say("backup.not_yet")
	default:
		say("backup", "at", clock(w.BackupAt), "proved", known(w.ProvedAt))
	}
	say("certificate", "until", known(w.CertificateUntil))
	if len(w.Incidents) == 0 {
		say("incidents.none")
	} else {
		say("incidents", "n", number(len(w.Incidents)+w.More))
	}
	for _, i := range w.Incidents {
		what := p.Text("week.no_deadline", "incident", i.Number)
		switch {
		case i.Unknown:
			what = p.Text("week.deadline_unknown", "incident", i.Number)
		case !i.Due.IsZero():
			what = p.Text("week.deadline", "incident", i.Number, "clock", deadlineName(p, i.Clock), "due", clock(i.Due))
		}
		if i.Late > 0 {
			what = p.Text("week.late", "what", what, "n", number(i.Late))
		}
		lines = append(lines, p.Text("week.item", "what", what))
	}
	if w.More > 0 {
		lines = append(lines, p.Text("week.item", "what", p.Text("week.more", "n", number(w.More))))
	}
	if w.DrillAt.IsZero() {
		say("drills.none")
	} else {
		say("drills", "n", number(w.Drills), "at", clock(w.DrillAt))
	}
	return strings.Join(lines, "\n")
}

// deadlineName is the name of a deadline, or a general word where there is none.
func deadlineName(p i18n.Printer, name string) string {
	if k := "deadline.clock." + name; name != "" && p.Has(k) {
		return p.Text(k)
	}
	return p.Text("deadline.clock.other")
}
