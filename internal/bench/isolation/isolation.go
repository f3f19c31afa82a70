// Package isolation measures how fast a PC is cut off and how sure one can be of it: the
// last byte of a connection, what a person waits for, what leaks while rules are
// replaced, and a thousand PCs at once. It knows nothing of the agent's packages, which
// only the agent's own tree may import: it builds that tree's measuring programs, or runs
// the agent.
package isolation

import (
	"io"
	"slices"
	"time"

	"hozen/internal/bench"
)

// Config is what a measurement needs.
type Config struct {
	Bin   string // folder of the programs
	Dir   string // empty folder; on the disk that is to be measured
	Quick bool   // fewer repetitions
	Note  io.Writer
	Print func(bench.Figure)
}

const (
	// cutBar bounds the time to the last byte of an established connection against the
	// bare batch: about what three such batches take, some milliseconds.
	cutBar = 3
	// rateBar is how many packets a second must try to pass while rules are replaced: fewer
	// would leave gaps between them that a gap of the rules fits into.
	rateBar = 10_000
)

// CutNames are the figures of [Cut].
func CutNames() []string {
	return []string{"isolation.cut", "isolation.cut.p99", "isolation.cut.p50.ms", "isolation.cut.p99.ms", "isolation.cut.bare.p50.ms"}
}

// ReplaceNames are the figures of [Replace].
func ReplaceNames() []string {
	return []string{"isolation.replace.leaked", "isolation.replace.control", "isolation.replace.sent", "isolation.replace.rate"}
}

// ClickNames are the figures of [Click].
func ClickNames() []string {
	return []string{
		"isolation.click.rules.p50.ms", "isolation.click.rules.p99.ms", "isolation.click.rules.flash.p50.ms", "isolation.click.rules.flash.p99.ms",
		"isolation.click.verified.p50.ms", "isolation.click.verified.p99.ms",
		"isolation.click.verified.flash.p50.ms", "isolation.click.verified.flash.p99.ms", "isolation.click.verified.reported",
	}
}

// percentiles prints the 50th and 99th percentile of times.
func percentiles(print func(bench.Figure), name string, times []time.Duration) {
	print(bench.Figure{Name: name + ".p50.ms", Value: bench.Milliseconds(bench.Percentile(times, 0.5)), Unit: "ms"})
	print(bench.Figure{Name: name + ".p99.ms", Value: bench.Milliseconds(bench.Percentile(times, 0.99)), Unit: "ms"})
}

// ratios are a/b, pair by pair, smallest first: what changes the machine's speed falls on
// both of a pair.
func ratios(a, b []time.Duration) []float64 {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = float64(a[i]) / float64(b[i])
	}
	slices.Sort(r)
	return r
}

// rank is the value below which the share p of sorted values lies, by the nearest rank.
func rank(sorted []float64, p float64) float64 {
	i := int(p*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
