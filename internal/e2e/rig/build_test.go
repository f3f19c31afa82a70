package rig

import (
	"os"
	"strings"
	"testing"
)

// The Makefile builds the agent that is shipped, this package the one that is tested.
func TestTheMakefileBuildsTheSameAgent(t *testing.T) {
	b, err := os.ReadFile("../../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if list, ok := strings.CutPrefix(line, "SMALL   := "); ok {
			if strings.TrimSpace(list) != small {
				t.Errorf("the Makefile does not inline %s, the tests %s", list, small)
			}
			return
		}
	}
	t.Error("the Makefile has no line SMALL")
}
