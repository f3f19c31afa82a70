package organisation_test

import (
	"testing"
	"time"

	"hozen/collector/internal/organisation"
)

func TestDrillIsDue(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse("2006-01-02 15:04 MST", s+" UTC")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	weekly := organisation.Isolation{DrillDays: 7, DrillHour: 10}
	for _, c := range []struct {
		name      string
		i         organisation.Isolation
		now, last time.Time
		want      bool
	}{
		{"never yet", weekly, at("2026-11-24 01:00"), time.Time{}, true},
		{"another hour", weekly, at("2026-11-24 02:00"), time.Time{}, false},
		{"Saturday in Japan", weekly, at("2026-11-28 01:30"), time.Time{}, false},
		{"a week later", weekly, at("2026-12-01 01:00"), at("2026-11-24 01:59"), true},
		{"six days later", weekly, at("2026-11-30 01:59"), at("2026-11-24 01:00"), false},
		{"not scheduled", organisation.Isolation{DrillHour: 10}, at("2026-11-24 01:00"), time.Time{}, false},
	} {
		if got := c.i.DrillDue(c.now, c.last); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
