package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"hozen/internal/bench"
	"hozen/internal/e2e/rig"
)

// The most bytes that the agent's file, and its installer for Windows, may have.
const (
	maxAgent     = 15e6
	maxInstaller = 8e6
)

// agentSize builds the agent for Linux as it is shipped and looks at the file.
func agentSize(ctx context.Context, e env) error {
	file := filepath.Join(e.dir, "agent")
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build"}, rig.AgentFlags()...), "-o", file, "./agent")...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the agent: %w\n%s", err, out)
	}
	fi, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("look at the agent: %w", err)
	}
	e.print(bench.Figure{Name: "agent.size.linux-amd64", Value: float64(fi.Size()), Unit: "bytes", Bar: bench.AtMost(maxAgent)})
	return nil
}

// windowsSize makes the agent and its installer for Windows as they are shipped, with icon,
// version and manifest, and looks at the files.
func windowsSize(ctx context.Context, e env) error {
	cmd := exec.CommandContext(ctx, "make", "--silent", "packages-windows", "PACKAGES="+e.dir, "WINDOWS="+e.dir, "VERSION=0.0.1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the installer: %w\n%s", err, out)
	}
	for _, f := range []struct {
		name, pattern string
		most          float64
	}{{"windows.agent.size", "hozen-agent.exe", maxAgent}, {"windows.msi.size", "hozen-agent_*_ja.msi", maxInstaller}} {
		found, _ := filepath.Glob(filepath.Join(e.dir, f.pattern)) // the pattern is well formed
		if len(found) != 1 {
			return fmt.Errorf("look for %s: %d files, want one", f.pattern, len(found))
		}
		fi, err := os.Stat(found[0])
		if err != nil {
			return fmt.Errorf("look at the file: %w", err)
		}
		e.print(bench.Figure{Name: f.name, Value: float64(fi.Size()), Unit: "bytes", Bar: bench.AtMost(f.most)})
	}
	return nil
}
