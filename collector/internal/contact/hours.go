package contact

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/calendar"
)

// Days on which a desk may be closed.
const (
	closedSat     = "sat"
	closedSun     = "sun"
	closedHoliday = "jp_holiday"
	closedYearEnd = "year_end"
)

// ReachState is whether somebody answers.
type ReachState string

// The states.
const (
	Open    ReachState = "open"
	Closed  ReachState = "closed"
	Web     ReachState = "web"     // a page, which is always there
	Unknown ReachState = "unknown" // the hours are not known
)

// Reach is whether somebody answers at a moment, and until or from when.
type Reach struct {
	State ReachState
	// At is when it closes, or when it opens next; zero when that is not known.
	At time.Time
}

// maxAhead is how many days ahead the next opening is looked for: longer than any row of
// holidays.
const maxAhead = 14

// Reach says whether a desk answers at a moment.
func (b *Book) Reach(d Desk, now time.Time) Reach {
	h := d.Hours
	if len(d.Tels) == 0 && len(d.Mails) == 0 && (h.Text == Text{}) {
		if len(d.URLs) == 0 {
			return Reach{State: Unknown}
		}
		return Reach{State: Web}
	}
	if (h.Text == Text{}) {
		return Reach{State: Unknown}
	}
	today := calendar.DateOf(now)
	for n := range maxAhead {
		day := today.Add(n)
		windows, known := b.windows(h, day)
		if !known {
			return Reach{State: Unknown}
		}
		for _, w := range windows {
			from, to := day.Start().Add(time.Duration(w[0])*time.Minute), day.Start().Add(time.Duration(w[1])*time.Minute)
			switch {
			case !now.Before(to):
			case now.Before(from):
				return Reach{State: Closed, At: from}
			default:
				return Reach{State: Open, At: to}
			}
		}
		// Where the times of day are not known, a day that is closed is all that is.
		if n == 0 && len(h.Weekdays) == 0 {
			return Reach{State: Closed}
		}
	}
	return Reach{State: Closed}
}

// windows are the minutes of a day within which a desk answers. They are not known where
// the hours are not, and in a year whose holidays are not.
func (b *Book) windows(h Hours, day calendar.Date) (w [][2]int, known bool) {
	closed := func(what string) bool { return slices.Contains(h.Closed, what) }
	weekday := day.Weekday()
	if weekday == time.Saturday && closed(closedSat) || weekday == time.Sunday && closed(closedSun) || closed(closedYearEnd) && calendar.YearEnd(day) {
		return nil, true
	}
	if closed(closedHoliday) {
		if _, holiday := b.days.Holiday(day); holiday {
			return nil, true
		}
		if !b.days.Knows(day.Year) {
			return nil, false
		}
	}
	texts := h.Weekdays
	if weekday == time.Saturday && len(h.Saturday) > 0 {
		texts = h.Saturday
	}
	if len(texts) == 0 {
		return nil, false
	}
	for _, t := range texts {
		from, err1 := minutes(t[0])
		to, err2 := minutes(t[1])
		if err1 != nil || err2 != nil { // the loader has refused it
			return nil, false
		}
		w = append(w, [2]int{from, to})
	}
	return w, true
}

// minutes reads "10:30" as minutes since midnight; "24:00" is the end of the day.
func minutes(s string) (int, error) {
	h, m, ok := strings.Cut(s, ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	if !ok || len(h) != 2 || len(m) != 2 || err1 != nil || err2 != nil || hour < 0 || hour > 24 || minute < 0 || minute > 59 || hour == 24 && minute > 0 {
		return 0, fmt.Errorf("read time %.20q: want hh:mm", s)
	}
	return 60*hour + minute, nil
}
