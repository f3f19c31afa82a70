package evidence

import (
	"math"
	"testing"
	"time"
)

func TestAllowanceIsAPartOfTheDisk(t *testing.T) {
	c := Config{DailyBytes: 50e9, DailyShare: 25}
	for _, x := range []struct {
		free uint64
		used int64
		want int64
	}{
		{1e12, 0, 50e9}, {1e12, 49e9, 50e9}, {100e9, 0, 25e9}, {75e9, 25e9, 25e9}, {1e9, 0, 250e6}, {0, 0, 64 << 20}, {1e6, 1e6, 64 << 20}, {math.MaxUint64, math.MaxInt64, 50e9},
	} {
		if got := c.allowance(x.free, x.used); got != x.want {
			t.Errorf("%d free, %d used: %d, want %d", x.free, x.used, got, x.want)
		}
	}
	// The worst that one endpoint can do in a week to a disk.
	free := uint64(1e12)
	c.DailyBytes = math.MaxInt64
	for range 7 {
		free -= uint64(c.allowance(free, 0))
	}
	if free < 1e11 {
		t.Errorf("%d of 10¹² bytes are left after a week", free)
	}
}

func TestArrivalsAreForgottenAfterADay(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 59, 0, 0, time.UTC)
	a := &arrivals{last: hourOf(now)}
	sum := func(after time.Duration, want int64) {
		t.Helper()
		if got := a.sum(now.Add(after)); got != want {
			t.Errorf("%s later: %d, want %d", after, got, want)
		}
	}
	a.add(now, 1)
	a.add(now.Add(-time.Hour), 10)
	a.add(now.Add(-100*time.Hour), 1000)
	sum(0, 11)
	a.add(now.Add(5*time.Hour), 100)
	sum(5*time.Hour, 111)
	sum(22*time.Hour, 111)
	sum(23*time.Hour, 101)
	sum(24*time.Hour, 100)
	a.add(now.Add(23*time.Hour), 5) // the clock went back
	sum(24*time.Hour, 105)
	sum(1000*time.Hour, 0)
}
