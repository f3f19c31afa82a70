package clock

import (
	"encoding/json"
	"testing"
	"time"

	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func TestClocks(t *testing.T) {
	var l probetest.Lines
	if err := New("/").Acquire(t.Context(), &l); err != nil {
		t.Skip(err) // no such probe on this system
	}
	var c record.Clock
	if len(l.All) != 1 || json.Unmarshal(l.All[0], &c) != nil {
		t.Fatalf("%s", l.All)
	}
	if d := time.Since(c.Wall).Abs(); d > time.Minute {
		t.Errorf("wall clock is %v away", d)
	}
	if c.MonotonicNS <= 0 || c.BootNS < c.MonotonicNS {
		t.Errorf("%s", l.All[0])
	}
}

func TestZoneOf(t *testing.T) {
	for link, want := range map[string]string{
		"/usr/share/zoneinfo/Asia/Tokyo": "Asia/Tokyo", "../usr/share/zoneinfo/posix/UTC": "UTC", "/etc/other": "", "": "",
	} {
		if got := zoneOf(link); got != want {
			t.Errorf("%q: %q", link, got)
		}
	}
}
