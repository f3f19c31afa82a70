package calendar_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"hozen/collector/internal/calendar"
)

func load(t *testing.T) *calendar.Calendar {
	t.Helper()
	c, err := calendar.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lawful computes the holidays of a year from the act: fixed days, Mondays, equinoxes,
// then the days that follow from those.
func lawful(year int) map[calendar.Date]bool {
	on := map[calendar.Date]bool{}
	day := func(m time.Month, d int) calendar.Date { return calendar.Date{Year: year, Month: m, Day: d} }
	monday := func(m time.Month, n int) calendar.Date {
		d := day(m, 1)
		for d.Weekday() != time.Monday {
			d = d.Add(1)
		}
		return d.Add(7 * (n - 1))
	}
	// Good from 1980 to 2099.
	equinox := func(base float64) int {
		y := year - 1980
		return int(base+0.242194*float64(y)) - y/4
	}
	for _, d := range []calendar.Date{day(1, 1), monday(1, 2), day(2, 11), day(2, 23), day(3, equinox(20.8431)), day(4, 29), day(5, 3), day(5, 4), day(5, 5),
		monday(7, 3), day(8, 11), monday(9, 3), day(9, equinox(23.2488)), monday(10, 2), day(11, 3), day(11, 23)} {
		on[d] = true
	}
	named := map[calendar.Date]bool{}
	for d := range on {
		named[d] = true
	}
	for d := range named { // article 3, paragraph 2
		if d.Weekday() != time.Sunday {
			continue
		}
		next := d.Add(1)
		for named[next] {
			next = next.Add(1)
		}
		on[next] = true
	}
	for d := range named { // article 3, paragraph 3
		if between := d.Add(1); named[d.Add(2)] && !named[between] {
			on[between] = true
		}
	}
	return on
}

func TestHolidaysAreThoseOfTheAct(t *testing.T) {
	c := load(t)
	for year := 2026; year <= 2028; year++ {
		if !c.Knows(year) || c.Announced(year) != (year < 2028) {
			t.Errorf("%d: known %t, announced %t", year, c.Knows(year), c.Announced(year))
		}
		want := lawful(year)
		for d := (calendar.Date{Year: year, Month: 1, Day: 1}); d.Year == year; d = d.Add(1) {
			if name, is := c.Holiday(d); is != want[d] {
				t.Errorf("%s is a holiday: %t (%s), by the act: %t", d, is, name.JA, want[d])
			}
		}
	}
	if c.Knows(2025) || c.Knows(2029) {
		t.Error("a year is known that nobody wrote down")
	}
}

func TestWorkdays(t *testing.T) {
	c := load(t)
	for s, want := range map[string]bool{
		"2026-11-20": true, "2026-11-21": false, "2026-11-22": false, "2026-11-23": false, "2026-11-24": true,
		"2026-12-28": true, "2026-12-29": false, "2027-01-03": false, "2027-01-04": true, "2026-09-22": false, "2027-03-22": false,
	} {
		d, err := calendar.ParseDate(s)
		if err != nil {
			t.Fatal(err)
		}
		if c.Workday(d) != want {
			t.Errorf("%s is a workday: %t", s, !want)
		}
	}
	if d := c.LastWorkday(calendar.Date{Year: 2027, Month: 1, Day: 3}); d.String() != "2026-12-28" {
		t.Error(d)
	}
}

func TestDaysOfJapan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(1_700_000_000, 2_000_000_000).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		n := rapid.IntRange(-800, 800).Draw(t, "n")
		d := calendar.DateOf(at)
		if at.Before(d.Start()) || !at.Before(d.End()) {
			t.Fatalf("%s is not within %s", at, d)
		}
		if got := d.Add(n).Sub(d); got != n {
			t.Fatalf("%s and %d days is %d days later", d, n, got)
		}
		if d.Add(n).Add(-n) != d || d.Add(n).Before(d) != (n < 0) {
			t.Fatalf("%s and %d days is %s", d, n, d.Add(n))
		}
		if back, err := calendar.ParseDate(d.String()); err != nil || back != d {
			t.Fatalf("%s is read as %s: %v", d, back, err)
		}
	})
}

func TestMidnightIsTheNextDay(t *testing.T) {
	at := time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC)
	if a, b := calendar.DateOf(at.Add(-1)), calendar.DateOf(at); a.String() != "2026-11-22" || b.String() != "2026-11-23" {
		t.Errorf("%s and %s", a, b)
	}
}

func TestReadRefuses(t *testing.T) {
	const good = "format = \"hozen-holidays/1\"\nsource = { ja = \"法\", en = \"act\" }\n[[year]]\nyear = 2026\nequinoxes_announced = true\n[[year.day]]\non = 2026-01-01\nname = { ja = \"元日\", en = \"New Year\" }\n"
	for name, text := range map[string]string{
		"format":         strings.Replace(good, "/1\"", "/2\"", 1),
		"unknown key":    strings.Replace(good, "equinoxes_announced", "announced", 1),
		"other year":     strings.Replace(good, "on = 2026", "on = 2027", 1),
		"twice":          good + "[[year.day]]\non = 2026-01-01\nname = { ja = \"元日\", en = \"New Year\" }\n",
		"one language":   strings.Replace(good, ", en = \"New Year\"", "", 1),
		"no date":        strings.Replace(good, "2026-01-01", "\"soon\"", 1),
		"the year twice": good + "[[year]]\nyear = 2026\nequinoxes_announced = true\n",
	} {
		if _, err := calendar.Read(fstest.MapFS{"holidays.toml": &fstest.MapFile{Data: []byte(text)}}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := calendar.Read(fstest.MapFS{"holidays.toml": &fstest.MapFile{Data: []byte(good)}}); err != nil {
		t.Error(err)
	}
}
