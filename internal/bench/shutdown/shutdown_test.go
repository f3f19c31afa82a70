package shutdown

import (
	"slices"
	"testing"
	"time"

	"hozen/internal/bench"
)

func TestMedianRatioIsPairByPair(t *testing.T) {
	// The machine is ten times slower in one pair; the ratio is the same in all but one.
	a := []time.Duration{20, 200, 20, 90}
	b := []time.Duration{10, 100, 10, 10}
	if got := medianRatio(a, b); got != 2 {
		t.Errorf("got %v, want 2", got)
	}
}

func TestPercentiles(t *testing.T) {
	var times []time.Duration
	for i := range 200 {
		times = append(times, time.Duration(i+1)*time.Millisecond)
	}
	var got []bench.Figure
	percentiles(func(f bench.Figure) { got = append(got, f) }, "x", times, bench.AtMost(197))
	if len(got) != 2 || got[0].Name != "x.p50.ms" || got[0].Value != 100 || got[1].Name != "x.p99.ms" || got[1].Value != 198 {
		t.Fatalf("got %+v", got)
	}
	if !got[0].Met() || got[1].Met() {
		t.Errorf("the bar is for the 99th percentile: %+v", got)
	}
}

func TestNamesAreEachOthersAndOfThisGroup(t *testing.T) {
	all := slices.Concat(TurnNames(), DelayNames(), StormNames())
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("a name stands twice in %q", all)
	}
	for _, must := range []string{
		"shutdown.first_artifact.p50.ms", "shutdown.first_artifact.p99.ms", "shutdown.released.p50.ms", "shutdown.released.p99.ms",
		"shutdown.delay.p50.ms", "shutdown.delay.p99.ms", "shutdown.delay.incident.p50.ms", "shutdown.delay.incident.p99.ms", "shutdown.recorder.storm",
	} {
		if !slices.Contains(all, must) {
			t.Errorf("%s is not in %q", must, all)
		}
	}
}
