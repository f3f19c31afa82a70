package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/internal/e2e/machine"
)

// TestIsolationOnDebiansKernels runs the matrix of what isolation cuts, and the trials of
// it, on the kernels of Debian 12 (6.1, whose tables cannot be held) and 13 (6.12).
func TestIsolationOnDebiansKernels(t *testing.T) {
	soakOnly(t)
	if err := machine.VirtualAvailable(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	t.Cleanup(cancel)
	programs := map[string]string{ // package and the tests of it
		"nft":   "^(TestMatrix|TestMatrixWithoutDeviceChains|TestCellsBesideAPlainTable|TestEstablishedFlows|TestMarkKeepsOthersOut|TestKnownDHCPServer|TestRealClientKeepsItsLease)$",
		"trial": "^(TestEveryWayIsShown|TestNoGateway|TestLinkLocalGateway|TestCollectorIsCut)$",
	}
	dir := t.TempDir()
	for name := range programs {
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", filepath.Join(dir, name), "hozen/agent/internal/isolate/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the tests of %s: %v\n%s", name, err, out)
		}
	}
	hall, err := machine.NewHall(ctx)
	must(t, err)
	t.Cleanup(func() { must(t, hall.Close()) })
	for release, recipe := range map[string]machine.Recipe{"Debian 12": machine.VirtualBookworm(), "Debian 13": machine.VirtualTrixie()} {
		t.Run(release, func(t *testing.T) {
			d, err := hall.Disk(ctx, recipe)
			must(t, err)
			for name := range programs {
				must(t, d.Copy("/opt/"+name, filepath.Join(dir, name)))
			}
			m, err := hall.BootVirtual(ctx, machine.VirtualConfig{Disk: d, OneProcessor: recipe.Suite == machine.Trixie().Suite})
			must(t, err)
			t.Cleanup(func() { must(t, m.Close()) })
			kernel, err := m.Run(ctx, "uname", "-r")
			must(t, err)
			t.Logf("booted in %s, kernel %s", m.Booted.Round(time.Millisecond), strings.TrimSpace(kernel))
			for name, tests := range programs {
				out, err := m.Run(ctx, "/opt/"+name, "-test.v", "-test.run", tests)
				t.Logf("%s on %s:\n%s", name, strings.TrimSpace(kernel), out)
				if err != nil {
					t.Logf("console:\n%s", m.Console(60))
				}
				if err != nil || strings.Contains(out, "--- SKIP") || strings.Count(out, "\n--- PASS") != strings.Count(tests, "|")+1 {
					t.Errorf("%s on %s: not every test passed: %v", name, strings.TrimSpace(kernel), err)
				}
			}
		})
	}
}
