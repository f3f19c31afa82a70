// Package simagent runs a simulated agent: the shipped uplink in a program of the
// agent's own tree, because nobody else may import it. It knows that program by its
// orders only, see its documentation.
package simagent

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// program is what simulates, see its own documentation.
const program = "hozen/agent/internal/uplink/uplinkbench"

// Agent is a simulated agent that runs until Close, or until this program ends.
type Agent struct {
	state   string
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
}

// Start builds the program into dir and starts it on the state folder of an enrolled
// agent. What it logs goes to note. It needs Go, and to be run inside the module.
func Start(ctx context.Context, dir, state string, note io.Writer) (*Agent, error) {
	return begin(ctx, dir, state, note)
}

func begin(ctx context.Context, dir, state string, note io.Writer, flags ...string) (*Agent, error) {
	bin := filepath.Join(dir, "uplinkbench")
	// As the agent is built.
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-tags", "grpcnotrace", "-o", bin, program)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	a := &Agent{state: state, cmd: exec.CommandContext(ctx, bin, append(flags, "-state", state)...)}
	a.cmd.Stderr = note
	var err error
	if a.orders, err = a.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start simulated agent: %w", err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start simulated agent: %w", err)
	}
	a.answers = bufio.NewReader(out)
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start simulated agent: %w", err)
	}
	return a, nil
}

// Close ends the program; its evidence stays in the state folder.
func (a *Agent) Close() error {
	_ = a.orders.Close() // which is how it is told
	if err := a.cmd.Wait(); err != nil {
		return fmt.Errorf("simulated agent: %w", err)
	}
	return nil
}

func (a *Agent) order(format string, args ...any) (string, error) {
	order := fmt.Sprintf(format, args...)
	if _, err := fmt.Fprintln(a.orders, order); err != nil {
		return "", fmt.Errorf("simulated agent: %s: %w", order, err)
	}
	answer, err := a.answers.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("simulated agent: %s: %w", order, err)
	}
	return strings.TrimSpace(answer), nil
}

// Fill seals n acquisitions of about size stored bytes each, no two with the same bytes.
func (a *Agent) Fill(n int, size int64) error {
	_, err := a.order("fill %d %d", n, size)
	return err
}

// Connect begins a session with the collector.
func (a *Agent) Connect() error {
	_, err := a.order("go")
	return err
}

// Disconnect ends the session and returns how many acquisitions still wait.
func (a *Agent) Disconnect() (waiting int, err error) {
	answer, err := a.order("stop")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(answer)
}

// LinkStored makes dir/N.upload a second name of each stored artifact that waits, so
// that its bytes outlive the receipt, and returns how many there are.
func (a *Agent) LinkStored(dir string) (int, error) {
	parts, err := filepath.Glob(filepath.Join(a.state, "spool", "*", "artifacts", "*"))
	if err != nil {
		return 0, fmt.Errorf("find stored artifacts: %w", err)
	}
	for i, part := range parts {
		if err := os.Link(part, filepath.Join(dir, strconv.Itoa(i)+".upload")); err != nil {
			return i, fmt.Errorf("link stored artifact: %w", err)
		}
	}
	return len(parts), nil
}
