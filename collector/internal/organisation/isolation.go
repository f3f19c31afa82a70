package organisation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// Isolation is how an organisation isolates.
type Isolation struct {
	// TwoPersons means that a release needs a second person.
	TwoPersons bool `json:"two_persons,omitempty"`
	// TwoPersonsUntil is when switching TwoPersons off takes effect; zero: it is not on its
	// way. Nobody alone can switch it off and release right after.
	TwoPersonsUntil time.Time `json:"two_persons_until,omitzero"`
	// TwoShare is above how many percent of the endpoints the isolation of a group takes two
	// persons, 1 to 100; 0: one is always enough.
	TwoShare int `json:"two_share,omitempty"`
	// TwoShareWas is the stricter share that holds until TwoShareUntil, as TwoPersonsUntil does.
	TwoShareWas   int       `json:"two_share_was,omitempty"`
	TwoShareUntil time.Time `json:"two_share_until,omitzero"`
	// NoticeText and NoticePhone are what the person at an isolated PC is told.
	NoticeText  string `json:"notice_text,omitempty"`
	NoticePhone string `json:"notice_phone,omitempty"`
	// Lease is how long an isolated PC need not hear of the collector before it tells the
	// person in front of it; 0 means DefaultLease.
	Lease time.Duration `json:"lease_ns,omitempty"`
	// MaxShare is how many percent of the endpoints may be isolated at once without saying
	// so especially, 1 to 100; 0 means DefaultMaxShare.
	MaxShare int `json:"max_share,omitempty"`
	// DrillDays is how many days lie between scheduled drills; 0: none is scheduled.
	// They begin on working days at DrillHour, 0 to 23, in Japan.
	DrillDays int `json:"drill_days,omitempty"`
	DrillHour int `json:"drill_hour,omitempty"`
}

// TwoPersonsLinger is how long switching TwoPersons off takes.
const TwoPersonsLinger = 24 * time.Hour

// NeedsTwo reports whether a release takes two persons now.
func (i Isolation) NeedsTwo(now time.Time) bool {
	return i.TwoPersons || now.Before(i.TwoPersonsUntil)
}

// TwoShareNow is the share above which the isolation of a group takes two persons now; 0:
// one is enough.
func (i Isolation) TwoShareNow(now time.Time) int {
	if i.TwoShareWas != 0 && now.Before(i.TwoShareUntil) && (i.TwoShare == 0 || i.TwoShareWas < i.TwoShare) {
		return i.TwoShareWas
	}
	return i.TwoShare
}

// GroupNeedsTwo reports whether isolating that share of the endpoints takes two persons now.
func (i Isolation) GroupNeedsTwo(share int, now time.Time) bool {
	most := i.TwoShareNow(now)
	return most != 0 && share > most
}

// japan has no daylight saving time and no tzdata that a system could lack.
var japan = time.FixedZone("JST", 9*60*60)

// DrillDue reports whether a drill should begin now when the last one was then; zero
// means that there was none.
func (i Isolation) DrillDue(now, last time.Time) bool {
	t := now.In(japan)
	if i.DrillDays <= 0 || t.Hour() != i.DrillHour || t.Weekday() == time.Saturday || t.Weekday() == time.Sunday {
		return false
	}
	if last.IsZero() {
		return true
	}
	l := last.In(japan)
	day := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }
	return day(t).Sub(day(l)) >= time.Duration(i.DrillDays)*24*time.Hour
}

// The defaults of [Isolation].
const (
	DefaultLease    = 24 * time.Hour
	DefaultMaxShare = 30
)

// FindIsolation returns how an organisation isolates, with defaults filled in.
func FindIsolation(ctx context.Context, q sqldb.Queryer, id string) (Isolation, error) {
	var text string
	if err := q.QueryRowContext(ctx, `SELECT isolation FROM organisation_profile WHERE id = $1`, id).Scan(&text); err != nil {
		return Isolation{}, fmt.Errorf("find how an organisation isolates: %w", err)
	}
	var i Isolation
	if text != "" {
		if err := json.Unmarshal([]byte(text), &i); err != nil {
			return Isolation{}, fmt.Errorf("read how an organisation isolates: %w", err)
		}
	}
	if i.Lease == 0 {
		i.Lease = DefaultLease
	}
	if i.MaxShare == 0 {
		i.MaxShare = DefaultMaxShare
	}
	return i, nil
}

// SetIsolation stores how an organisation isolates, and returns [SettingsSHA256] of it.
func SetIsolation(ctx context.Context, tx *sqldb.Tx, id string, i Isolation) (settingsSHA256 string, err error) {
	i.NoticeText, i.NoticePhone = sqldb.CleanText(i.NoticeText), sqldb.CleanText(i.NoticePhone)
	b, err := json.Marshal(i)
	if err != nil {
		return "", fmt.Errorf("encode how an organisation isolates: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE organisation_profile SET isolation = $1 WHERE id = $2`, string(b), id); err != nil {
		return "", fmt.Errorf("store how an organisation isolates: %w", err)
	}
	return ledger.Short("isolation", string(b)), nil
}
