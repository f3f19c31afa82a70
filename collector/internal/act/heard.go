package act

import (
	"errors"
	"time"

	"hozen/collector/internal/contact"
	"hozen/collector/internal/sqldb"
)

// Heard is of a report that somebody heard by telephone and writes down for the caller. Who
// called is the reporter of the incident.
type Heard struct {
	Tel string    // to call back; empty: none was given
	At  time.Time // when the call came; zero: it was no call
}

func (h Heard) check(now time.Time) error {
	if err := text("heard_tel", h.Tel, 64, false); err != nil {
		return err
	}
	if h.Tel != "" && contact.Dial(h.Tel) == "" {
		return &Invalid{Field: "heard_tel", Code: "malformed", Err: errors.New("nobody could dial it")}
	}
	if h.At.After(now.Add(time.Minute)) {
		return &Invalid{Field: "heard_at", Code: "future", Err: errors.New("it lies in the future")}
	}
	return nil
}

// add puts what was heard among the facts of an entry.
func (h Heard) add(facts map[string]string) {
	if h.Tel != "" {
		facts["heard_tel"] = h.Tel
	}
	if !h.At.IsZero() {
		facts["heard_at"] = sqldb.FormatTime(sane(h.At))
	}
}
