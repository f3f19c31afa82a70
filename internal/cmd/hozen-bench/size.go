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

// maxAgent is the most bytes that the agent's file may have.
const maxAgent = 15e6

// agentSize builds the agent as it is shipped and looks at the file.
func agentSize(ctx context.Context, e env) error {
	for _, goos := range []string{"linux", "windows"} {
		file := filepath.Join(e.dir, "agent-"+goos)
		cmd := exec.CommandContext(ctx, "go", append(append([]string{"build"}, rig.AgentFlags()...), "-o", file, "./agent")...)
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the agent for %s: %w\n%s", goos, err, out)
		}
		fi, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("look at the agent: %w", err)
		}
		e.print(bench.Figure{Name: "agent.size." + goos + "-amd64", Value: float64(fi.Size()), Unit: "bytes", Bar: bench.AtMost(maxAgent)})
	}
	return nil
}
