// Package bench is what the benchmark prints: figures, their bars, and the list of
// those that must not be absent. It knows nothing of how they are measured.
package bench

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Figure is one line of the benchmark.
type Figure struct {
	Name  string
	Value float64
	Unit  string // "ratio", "ms", "bytes", "count", …
	Bar   Bar
}

// Bar is what a figure is held against. The zero Bar holds nothing: the figure
// stands beside another one, to be read.
type Bar struct {
	sense string
	limit float64
}

// AtMost is met by figures that are not above limit.
func AtMost(limit float64) Bar { return Bar{"<=", limit} }

// AtLeast is met by figures that are not below limit.
func AtLeast(limit float64) Bar { return Bar{">=", limit} }

// Exactly is met by figures that equal limit.
func Exactly(limit float64) Bar { return Bar{"=", limit} }

// String spells the bar as the benchmark prints it, "-" for none.
func (b Bar) String() string {
	if b.sense == "" {
		return "-"
	}
	return b.sense + number(b.limit)
}

// Met reports whether a figure reaches its bar. A figure that is no number does not.
func (f Figure) Met() bool {
	switch f.Bar.sense {
	case "<=":
		return f.Value <= f.Bar.limit
	case ">=":
		return f.Value >= f.Bar.limit
	case "=":
		return f.Value == f.Bar.limit
	}
	return f.Value == f.Value
}

// Write prints the line: name, value, unit, bar and "ok" or "SHORT", tab-separated.
func (f Figure) Write(w io.Writer) error {
	word := "ok"
	if !f.Met() {
		word = "SHORT"
	}
	_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.Name, number(f.Value), f.Unit, f.Bar, word)
	return err
}

// number spells whole numbers whole and others with four digits.
func number(v float64) string {
	if v == float64(int64(v)) {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// Absent returns the names of must that match only and that figures lack.
func Absent(must []string, figures []Figure, only *regexp.Regexp) []string {
	var absent []string
	for _, name := range must {
		if only.MatchString(name) && !slices.ContainsFunc(figures, func(f Figure) bool { return f.Name == name }) {
			absent = append(absent, name)
		}
	}
	return absent
}

// Percentile returns the value below which the share p, 0 to 1, of the times lies,
// by the nearest rank. It returns 0 for no times.
func Percentile(times []time.Duration, p float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	rank := int(p*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

// Milliseconds returns d in milliseconds.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
