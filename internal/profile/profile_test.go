package profile_test

import (
	"strings"
	"testing"
	"time"

	"hozen/internal/profile"
)

func TestTable(t *testing.T) {
	for _, p := range append(profile.All(), profile.OfProcess()) {
		seen := map[string]bool{}
		for _, l := range p.Lines {
			if seen[string(l.Kind)] || l.Budget <= 0 {
				t.Errorf("%s: %s stands twice or has no time", p.Name, l.Kind)
			}
			seen[string(l.Kind)] = true
		}
		if p.Usual <= 0 || p.Usual > p.Limit() || p.UsualBytes <= 0 {
			t.Errorf("%s: %v and %d bytes are no estimate", p.Name, p.Usual, p.UsualBytes)
		}
		if p.AtMost() < p.Limit() || p.AtMost() >= p.Limit()+time.Minute {
			t.Errorf("%s takes at most %v, people are told %v", p.Name, p.Limit(), p.AtMost())
		}
		if again, err := profile.Find(p.Name); p.Name == profile.Process {
			if err == nil {
				t.Error("a profile that needs a process is found by its name alone")
			}
		} else if err != nil || again.Name != p.Name {
			t.Errorf("find %s: %v", p.Name, err)
		}
	}
	if flash, _ := profile.Find(profile.Flash); flash.Limit() > 10*time.Second {
		t.Errorf("the flash profile may take %v", flash.Limit())
	}
	if _, err := profile.Find("everything"); err == nil || !strings.Contains(err.Error(), "known: flash, volatile") {
		t.Errorf("find a profile that is none: %v", err)
	}
}

func TestNameOfAProcess(t *testing.T) {
	for _, x := range []struct {
		pid   uint32
		ticks uint64
	}{{4711, 0}, {4, 1}, {1<<32 - 4, 4_500_000_000_000_000}} {
		name := profile.ProcessName(x.pid, x.ticks)
		if pid, ticks, err := profile.ParseProcess(name); err != nil || pid != x.pid || ticks != x.ticks || len(name) > 32 {
			t.Errorf("%s: %d, %d, %v", name, pid, ticks, err)
		}
	}
	for _, name := range []string{"", "process", "process.", "process.0", "process.04", "process.-1", "process.4.", "process.4.0", "process.4.x", "process.4.F", "process.4.1.1", "process.4294967296", "flash", "memory.4"} {
		if _, _, err := profile.ParseProcess(name); err == nil {
			t.Errorf("%q names a process", name)
		}
	}
}
