package localapi

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestPipeNames(t *testing.T) {
	a, b := pipeName("a/collector.sock"), pipeName("b/collector.sock")
	abs, err := filepath.Abs("a/collector.sock")
	if err != nil {
		t.Fatal(err)
	}
	if a == b || a != pipeName(abs) || a != pipeName("x/../A/Collector.sock") || !strings.HasPrefix(a, `\\.\pipe\ProtectedPrefix\Administrators\`) {
		t.Errorf("%s %s", a, b)
	}
	if !strings.HasPrefix(pipeRights, "D:P(D;;GA;;;NU)") || strings.Contains(pipeRights, "WD") {
		t.Error(pipeRights)
	}
}
