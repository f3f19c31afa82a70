package ancestry

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	const child = "HOZEN_ANCESTRY_CHILD"
	self := filepath.Base(os.Args[0])
	if os.Getenv(child) != "" {
		names, err := Names(1)
		if err != nil || len(names) != 1 || !strings.EqualFold(names[0], self) {
			t.Errorf("%q, %v", names, err)
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNames$")
	cmd.Env = append(os.Environ(), child+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if names, err := Names(50); err != nil || len(names) > 50 {
		t.Errorf("%q, %v", names, err)
	}
}
