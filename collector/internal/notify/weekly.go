package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

// Weekly is when an organisation is told once a week how things are.
type Weekly struct {
	Enabled bool
	Weekday time.Weekday
	Hour    int // 0 to 23, in Japan
}

// DefaultWeekly is what holds where nobody said otherwise. It goes out by channels that
// carry [WeeklySummary], which somebody has to choose.
func DefaultWeekly() Weekly { return Weekly{Enabled: true, Weekday: time.Monday, Hour: 8} }

// Valid reports whether there is such a time.
func (w Weekly) Valid() bool {
	return w.Weekday >= time.Sunday && w.Weekday <= time.Saturday && w.Hour >= 0 && w.Hour <= 23
}

// Slot is the newest moment, now at the latest, at which it was to be told.
func (w Weekly) Slot(now time.Time) time.Time {
	t := now.In(japan)
	at := time.Date(t.Year(), t.Month(), t.Day(), w.Hour, 0, 0, 0, japan)
	at = at.AddDate(0, 0, -(int(t.Weekday()-w.Weekday)+7)%7)
	if at.After(now) {
		at = at.AddDate(0, 0, -7)
	}
	return at
}

// FindWeekly returns when an organisation is told, and for which slot it was; the zero time
// means that nobody looked yet.
func FindWeekly(ctx context.Context, q sqldb.Queryer, organisationID string) (Weekly, time.Time, error) {
	var w Weekly
	var toldFor time.Time
	err := q.QueryRowContext(ctx, `SELECT enabled, weekday, hour, told_for FROM notify_weekly WHERE organisation_id = $1`, organisationID).
		Scan(sqldb.ScanBool(&w.Enabled), &w.Weekday, &w.Hour, sqldb.ScanTime(&toldFor))
	if errors.Is(err, sql.ErrNoRows) {
		return DefaultWeekly(), time.Time{}, nil
	}
	if err != nil {
		return Weekly{}, time.Time{}, fmt.Errorf("find when the week is told: %w", err)
	}
	return w, toldFor, nil
}

// SetWeekly stores when an organisation is told, from the next slot on: nothing goes out for
// one that is over.
func SetWeekly(ctx context.Context, tx *sqldb.Tx, organisationID string, w Weekly, now time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO notify_weekly (organisation_id, enabled, weekday, hour, told_for) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (organisation_id) DO UPDATE SET enabled = excluded.enabled, weekday = excluded.weekday, hour = excluded.hour, told_for = excluded.told_for`,
		organisationID, sqldb.FormatBool(w.Enabled), int(w.Weekday), w.Hour, sqldb.FormatTime(w.Slot(now)))
	if err != nil {
		return fmt.Errorf("store when the week is told: %w", err)
	}
	return nil
}

// WeeklyDue reports whether the newest slot was not told yet. The first look of all only
// makes a note of the slot, so that a collector that is new tells nothing at once.
func WeeklyDue(w Weekly, toldFor, now time.Time) (slot time.Time, due bool) {
	slot = w.Slot(now)
	return slot, w.Enabled && !toldFor.IsZero() && slot.After(toldFor)
}

// TakeWeekly crosses a slot off, and reports whether it was this call that did: of several
// who look, one tells.
func TakeWeekly(ctx context.Context, tx *sqldb.Tx, organisationID string, toldFor, slot time.Time) (bool, error) {
	r, err := tx.ExecContext(ctx, `UPDATE notify_weekly SET told_for = $1 WHERE organisation_id = $2 AND enabled = $3 AND told_for = $4`,
		sqldb.FormatTime(slot), organisationID, sqldb.FormatBool(true), sqldb.FormatTime(toldFor))
	if err != nil {
		return false, fmt.Errorf("cross the week off: %w", err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("cross the week off: %w", err)
	}
	return n == 1, nil
}
