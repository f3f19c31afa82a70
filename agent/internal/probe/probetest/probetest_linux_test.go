package probetest

import (
	"os"
	"testing"
)

// The suite is worth nothing if it does not see what it forbids.
func TestEffectsAreSeen(t *testing.T) {
	before := effects(t)
	f, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := os.StartProcess("/proc/self/exe", []string{"probetest", "-test.run=^$"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if got := more(before, effects(t)); len(got) < 2 {
		t.Errorf("an open file and a running child: %v", got)
	}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	seen := false
	for _, name := range more(before, effects(t)) {
		seen = seen || name == "page faults of ended children"
	}
	if !seen {
		t.Error("a child that ended was not seen")
	}
}
