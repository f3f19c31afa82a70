package bench

import (
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestFigureLine(t *testing.T) {
	for _, c := range []struct {
		f    Figure
		want string
	}{
		{Figure{"a.b", 1.23456, "ratio", AtMost(1.5)}, "a.b\t1.235\tratio\t<=1.5\tok\n"},
		{Figure{"a.b", 1.6, "ratio", AtMost(1.5)}, "a.b\t1.6\tratio\t<=1.5\tSHORT\n"},
		{Figure{"a.b", 0.49, "ratio", AtLeast(0.5)}, "a.b\t0.49\tratio\t>=0.5\tSHORT\n"},
		{Figure{"size", 11500000, "bytes", AtMost(15e6)}, "size\t11500000\tbytes\t<=15000000\tok\n"},
		{Figure{"count", 4999, "count", Exactly(5000)}, "count\t4999\tcount\t=5000\tSHORT\n"},
		{Figure{Name: "beside", Value: 3, Unit: "ms"}, "beside\t3\tms\t-\tok\n"},
		{Figure{"nothing", math.NaN(), "ratio", AtMost(1)}, "nothing\tNaN\tratio\t<=1\tSHORT\n"},
	} {
		var b strings.Builder
		if err := c.f.Write(&b); err != nil {
			t.Fatal(err)
		}
		if b.String() != c.want {
			t.Errorf("line = %q, want %q", b.String(), c.want)
		}
	}
}

func TestAbsent(t *testing.T) {
	got := Absent([]string{"agent.rss", "agent.size", "command.ack"}, []Figure{{Name: "agent.rss"}}, regexp.MustCompile("agent"))
	if strings.Join(got, " ") != "agent.size" {
		t.Errorf("Absent = %v, want agent.size", got)
	}
}

func TestPercentile(t *testing.T) {
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i))
	}
	for p, want := range map[float64]time.Duration{0.5: 50, 0.99: 99, 1: 100, 0: 1} {
		if got := Percentile(times, p); got != want {
			t.Errorf("Percentile(%g) = %d, want %d", p, got, want)
		}
	}
	if Percentile(nil, 0.5) != 0 {
		t.Error("Percentile of nothing is not 0")
	}
}
