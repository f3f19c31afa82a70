package crashpoint_test

import (
	"strings"
	"testing"

	"hozen/internal/crashpoint"
)

func TestPointsComeInPairs(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range crashpoint.All() {
		if seen[p] {
			t.Errorf("%q is there twice", p)
		}
		seen[p] = true
	}
	for p := range seen {
		step, ok := strings.CutSuffix(p, ".before")
		if ok && !seen[step+".after"] {
			t.Errorf("%q has no other side", p)
		}
	}
	crashpoint.Hit(crashpoint.All()[0]) // survives without the environment's word
}
