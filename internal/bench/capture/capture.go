// Package capture measures the flash capture against the bare reading of the same
// files. It knows nothing of the probes, which only the agent's own tree may import:
// it builds that tree's measuring program and reads what it prints.
package capture

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"hozen/internal/bench"
	"hozen/internal/bench/program"
)

// Names are the figures that [Run] prints.
func Names() []string {
	return []string{
		"capture.fast.1000p5000s", "capture.fast.1000p5000s.ms", "capture.limit.agreement",
		"capture.sockets.1500", "capture.sockets.5000", "capture.size.1000p5000s",
		"capture.volatile.1000p5000s", "capture.volatile.1000p5000s.ms", "capture.volatile.limit.ms", "capture.volatile.extras.ms",
		"capture.volatile.whole.ms", "capture.volatile.whole.cpu.ms",
		"capture.memory.rss", "capture.memory.rate",
	}
}

// measuring is the program that measures, see its own documentation.
const measuring = "hozen/agent/internal/probe/probebench"

// Run measures and passes each figure to print; what the program says beside goes to
// note. agent is the path of the shipped agent. It needs root, Go, and to be run inside the module. quick makes fewer rounds.
//
// The environment variable HOZEN_SNAPLIMIT may name a foreign limit reader to compare
// ours with; without it, capture.limit.agreement says that nothing was compared.
func Run(ctx context.Context, quick bool, agent string, note io.Writer, print func(bench.Figure)) error {
	dir, err := os.MkdirTemp("", "hozen-capture-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	bin, err := program.Build(ctx, dir, measuring)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, bin, "-agent", agent)
	if quick {
		cmd.Args = append(cmd.Args, "-quick")
	}
	cmd.Stderr = note
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("read figures: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", measuring, err)
	}
	readErr := read(out, print)
	if err := cmd.Wait(); err != nil {
		return errors.Join(fmt.Errorf("measure the capture: %w", err), readErr)
	}
	return readErr
}

// read turns the program's lines into figures.
func read(r io.Reader, print func(bench.Figure)) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var f struct {
			Name  string  `json:"name"`
			Value float64 `json:"value"`
			Unit  string  `json:"unit"`
			Bar   string  `json:"bar"`
		}
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return fmt.Errorf("read figure %.200q: %w", lines.Text(), err)
		}
		bar, err := barOf(f.Bar)
		if err != nil {
			return fmt.Errorf("read figure %s: %w", f.Name, err)
		}
		print(bench.Figure{Name: f.Name, Value: f.Value, Unit: f.Unit, Bar: bar})
	}
	return lines.Err()
}

// barOf reads "<=2", ">=1", "=5000" or "" for none.
func barOf(s string) (bench.Bar, error) {
	if s == "" {
		return bench.Bar{}, nil
	}
	for _, k := range []struct {
		sense string
		bar   func(float64) bench.Bar
	}{{"<=", bench.AtMost}, {">=", bench.AtLeast}, {"=", bench.Exactly}} {
		if rest, ok := strings.CutPrefix(s, k.sense); ok {
			limit, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				return bench.Bar{}, fmt.Errorf("bar %q: %w", s, err)
			}
			return k.bar(limit), nil
		}
	}
	return bench.Bar{}, fmt.Errorf("bar %q is none", s)
}
