package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/internal/e2e/rig"
)

// TestDemonstration runs what `make run ONCE=1` runs, as this account and, when that
// is root, as one without rights too: it must end well and say what it showed.
func TestDemonstration(t *testing.T) {
	ctx := within(t, 2*patience)
	programs(t)
	demo := filepath.Join(shortDir(t), "hozen-demo")
	build := exec.CommandContext(ctx, "go", "build", "-o", demo, "./internal/cmd/hozen-demo")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the demonstration: %v\n%s", err, out)
	}
	t.Run("own account", func(t *testing.T) { demonstrate(t, ctx, demo, "") })
	t.Run("without rights", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("the first run had none")
		}
		demonstrate(t, ctx, demo, "nobody")
	})
}

func demonstrate(t *testing.T, ctx context.Context, demo, account string) {
	n := rig.NewNursery()
	t.Cleanup(func() { must(t, n.Close()) })
	bin := filepath.Dir(programs(t).Agent)
	dir := shortDir(t)
	if account != "" {
		for _, d := range []string{bin, filepath.Dir(demo)} {
			must(t, os.Chmod(d, 0o755))
		}
		must(t, rig.HandTo(dir, account))
	}
	spec := rig.Spec{Path: demo, Args: []string{"-bin", bin, "-dir", filepath.Join(dir, "run"), "-once"}, Dir: dir, User: account, Env: []string{"HOME=" + dir}}
	for _, again := range []bool{false, true} {
		begun := time.Now()
		r, err := n.Run(ctx, spec, "")
		must(t, err)
		if r.Code != 0 {
			t.Fatalf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		for _, words := range []string{"INC-", "検証済み / verified", "Processes", "http://127.0.0.1:", "owner"} {
			if !strings.Contains(strings.ToLower(r.Stdout), strings.ToLower(words)) {
				t.Errorf("it does not say %q:\n%s", words, r.Stdout)
			}
		}
		if took := time.Since(begun); again && took > 20*time.Second {
			t.Errorf("the second run took %s, want at most 20 s", took)
		}
	}
}
