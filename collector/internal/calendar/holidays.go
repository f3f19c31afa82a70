package calendar

import (
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/pelletier/go-toml/v2"

	"hozen/collector/internal/dataset"
)

//go:embed data/holidays.toml
var embedded embed.FS

const format = "hozen-holidays/1"

type file struct {
	Format string       `toml:"format"`
	Source dataset.Text `toml:"source"`
	Years  []struct {
		Year      int  `toml:"year"`
		Announced bool `toml:"equinoxes_announced"`
		Days      []struct {
			On   toml.LocalDate `toml:"on"`
			Name dataset.Text   `toml:"name"`
		} `toml:"day"`
	} `toml:"year"`
}

// Calendar is which days are holidays. It never changes once it is read.
type Calendar struct {
	source   dataset.Text
	years    map[int]bool // known; true: all of it is announced
	holidays map[Date]dataset.Text
}

// Load reads the holidays that come with the product.
func Load() (*Calendar, error) {
	data, err := fs.Sub(embedded, "data")
	if err != nil {
		return nil, fmt.Errorf("load holidays: %w", err)
	}
	return Read(data)
}

// Read reads "holidays.toml" from a folder.
func Read(data fs.FS) (*Calendar, error) {
	var f file
	if err := dataset.Decode(data, "holidays.toml", &f); err != nil {
		return nil, fmt.Errorf("load holidays: %w", err)
	}
	c := &Calendar{source: f.Source, years: map[int]bool{}, holidays: map[Date]dataset.Text{}}
	var check dataset.Checker
	if f.Format != format {
		check.Fault("the format is %q, want %q", f.Format, format)
	}
	check.Text("the source", f.Source)
	for _, y := range f.Years {
		if _, twice := c.years[y.Year]; twice {
			check.Fault("the year %d stands twice", y.Year)
		}
		c.years[y.Year] = y.Announced
		for _, d := range y.Days {
			on := Date{d.On.Year, time.Month(d.On.Month), d.On.Day}
			check.Text(on.String(), d.Name)
			if on.Year != y.Year {
				check.Fault("%s is not in %d", on, y.Year)
			}
			if _, twice := c.holidays[on]; twice {
				check.Fault("%s stands twice", on)
			}
			c.holidays[on] = d.Name
		}
	}
	if err := check.Err(); err != nil {
		return nil, fmt.Errorf("load holidays: %w", err)
	}
	return c, nil
}

// Source says what the holidays follow from.
func (c *Calendar) Source() dataset.Text { return c.source }

// Knows reports whether the holidays of a year are known.
func (c *Calendar) Knows(year int) bool {
	_, ok := c.years[year]
	return ok
}

// Announced reports whether the holidays of a year are all announced; those of the
// equinoxes may be computed.
func (c *Calendar) Announced(year int) bool { return c.years[year] }

// Holiday returns the name of the national holiday that a day is.
func (c *Calendar) Holiday(d Date) (dataset.Text, bool) {
	name, ok := c.holidays[d]
	return name, ok
}

// YearEnd reports whether a day is one of those around the new year on which offices of
// the state are closed, 29 December to 3 January (Act No. 91 of 1988, article 1).
func YearEnd(d Date) bool {
	return d.Month == time.December && d.Day >= 29 || d.Month == time.January && d.Day <= 3
}

// Workday reports whether a day is one on which offices of the state are open.
func (c *Calendar) Workday(d Date) bool {
	if w := d.Weekday(); w == time.Saturday || w == time.Sunday || YearEnd(d) {
		return false
	}
	_, holiday := c.holidays[d]
	return !holiday
}

// LastWorkday returns d, or the newest day before it on which offices of the state are
// open.
func (c *Calendar) LastWorkday(d Date) Date {
	for !c.Workday(d) {
		d = d.Add(-1)
	}
	return d
}
