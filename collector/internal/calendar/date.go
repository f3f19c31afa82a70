// Package calendar knows the days of Japan: dates in its zone and its national holidays.
// It knows nothing of what happens on them.
package calendar

import (
	"fmt"
	"time"
)

// JST is the zone of Japan, which has had no summer time since 1951.
func JST() *time.Location { return time.FixedZone("JST", 9*60*60) }

// Date is a day of the Gregorian calendar in Japan. The zero value is no day.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the day in Japan of a moment.
func DateOf(t time.Time) Date {
	y, m, d := t.In(JST()).Date()
	return Date{y, m, d}
}

// IsZero reports whether d is no day.
func (d Date) IsZero() bool { return d == Date{} }

// Start returns the moment at which the day begins, midnight in Japan.
func (d Date) Start() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, JST()) }

// End returns the moment at which the day is over: the beginning of the next.
func (d Date) End() time.Time { return d.Add(1).Start() }

// Add returns the day that is n days later.
func (d Date) Add(n int) Date { return DateOf(time.Date(d.Year, d.Month, d.Day+n, 0, 0, 0, 0, JST())) }

// Sub returns how many days d is later than e.
func (d Date) Sub(e Date) int { return int(d.Start().Sub(e.Start()) / (24 * time.Hour)) }

// Before reports whether d is earlier than e.
func (d Date) Before(e Date) bool { return d.Start().Before(e.Start()) }

// Weekday returns the day of the week.
func (d Date) Weekday() time.Weekday { return d.Start().Weekday() }

// String returns the day as in ISO 8601, "2026-11-22".
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// At returns a moment of the day.
func (d Date) At(hour, minute int) time.Time {
	return time.Date(d.Year, d.Month, d.Day, hour, minute, 0, 0, JST())
}

// ParseDate reads "2026-11-22".
func ParseDate(s string) (Date, error) {
	t, err := time.ParseInLocation("2006-01-02", s, JST())
	if err != nil {
		return Date{}, fmt.Errorf("read date %.20q: %w", s, err)
	}
	return DateOf(t), nil
}
