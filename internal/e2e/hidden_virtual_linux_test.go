package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/internal/e2e/machine"
)

// TestHidingByEBPFIsFound lets a program of eBPF hide a process on the kernel of Debian 12,
// which allows that where others do not, and looks for it with the probe.
func TestHidingByEBPFIsFound(t *testing.T) {
	if err := machine.VirtualAvailable(); err != nil {
		t.Skip(err)
	}
	ctx := within(t, 8*time.Minute)
	program := filepath.Join(t.TempDir(), "crossview")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "hozen/agent/internal/probe/crossview")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the tests of crossview: %v\n%s", err, out)
	}
	hall, err := machine.NewHall(ctx)
	must(t, err)
	t.Cleanup(func() { must(t, hall.Close()) })
	d, err := hall.Disk(ctx, machine.VirtualBookworm())
	must(t, err)
	must(t, d.Copy("/opt/crossview", program))
	m, err := hall.BootVirtual(ctx, machine.VirtualConfig{Disk: d})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	out, err := m.Run(ctx, "/opt/crossview", "-test.v", "-test.run", "^TestHiddenByEBPF$")
	if err != nil || !strings.Contains(out, "--- PASS: TestHiddenByEBPF") {
		t.Errorf("%v:\n%s", err, out)
	}
}
