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

// TestIsolationOnDebian12 runs the matrix of what isolation cuts, beside that of a plain
// table, and the trials of it on the kernel of Debian 12 (6.1), whose tables cannot be held.
func TestIsolationOnDebian12(t *testing.T) {
	isolationOnKernels(t, 3*patience, []machine.Recipe{machine.VirtualBookworm()}, map[string]string{
		"nft":   "^(TestMatrix|TestCellsBesideAPlainTable|TestRealClientKeepsItsLease)$",
		"trial": "^(TestEveryWayIsShown)$",
	})
}

// TestIsolationOnDebiansKernels does more of it there and on that of Debian 13 (6.12).
func TestIsolationOnDebiansKernels(t *testing.T) {
	soakOnly(t)
	isolationOnKernels(t, 20*time.Minute, []machine.Recipe{machine.VirtualBookworm(), machine.VirtualTrixie()}, map[string]string{
		"nft":   "^(TestMatrix|TestMatrixWithoutDeviceChains|TestCellsBesideAPlainTable|TestEstablishedFlows|TestMarkKeepsOthersOut|TestKnownDHCPServer|TestRealClientKeepsItsLease)$",
		"trial": "^(TestEveryWayIsShown|TestNoGateway|TestLinkLocalGateway|TestCollectorIsCut)$",
	})
}

// isolationOnKernels runs tests of the agent's packages (programs: the package's name and the
// tests of it) in virtual machines.
func isolationOnKernels(t *testing.T, limit time.Duration, recipes []machine.Recipe, programs map[string]string) {
	t.Helper()
	if err := machine.VirtualAvailable(); err != nil {
		t.Skip(err)
	}
	ctx := within(t, limit)
	dir := shortDir(t)
	for name := range programs {
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-s -w", "-o", filepath.Join(dir, name), "hozen/agent/internal/isolate/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the tests of %s: %v\n%s", name, err, out)
		}
	}
	hall, err := machine.NewHall(ctx)
	must(t, err)
	t.Cleanup(func() { must(t, hall.Close()) })
	for _, recipe := range recipes {
		t.Run(recipe.Suite, func(t *testing.T) {
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
