package profile_test

import (
	"strings"
	"testing"
	"time"

	"hozen/internal/profile"
)

func TestTable(t *testing.T) {
	for _, p := range profile.All() {
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
		if again, err := profile.Find(p.Name); err != nil || again.Name != p.Name {
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
