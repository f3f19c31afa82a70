package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"hozen/internal/bench"
)

// The most that may be left of 1,000 readings under Wine. One handle or goroutine of each would
// be a thousand; the runtime's own threads come and go, with some handles each.
const (
	leakRuns       = 1000
	leakHandles    = 100
	leakGoroutines = 0
	leakKB         = 1024
)

// leakNames are the figures of [windowsLeaks].
func leakNames() []string {
	return []string{"windows.capture.leaks.handles", "windows.capture.leaks.goroutines", "windows.capture.leaks.memory.kb"}
}

// windowsLeaks reads the fast set under Wine again and again, by the test that does so, and
// looks at what has grown.
func windowsLeaks(ctx context.Context, e env) error {
	program := filepath.Join(e.dir, "hozen-wine")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./internal/cmd/hozen-wine").CombinedOutput(); err != nil {
		return fmt.Errorf("build hozen-wine: %w\n%s", err, out)
	}
	runs := leakRuns
	if e.quick {
		runs = leakRuns / 20
	}
	cmd := exec.CommandContext(ctx, program, "go", "test", "-count=1", "-v", "-timeout=30m", "-run=^TestLeavesNothingBehind$", "./agent/internal/probe/winsys")
	cmd.Env = append(os.Environ(), "HOZEN_LEAK_RUNS="+strconv.Itoa(runs))
	out, err := cmd.CombinedOutput()
	l, perr := parseLeaks(out)
	if perr != nil || l.runs != runs { // the test itself fails by bars of its own, which say less
		return fmt.Errorf("read the fast set under Wine %d times: %w\n%s", runs, errors.Join(err, perr), out)
	}
	names := leakNames()
	e.print(bench.Figure{Name: names[0], Value: float64(l.handles), Unit: "count", Bar: bench.AtMost(leakHandles)})
	e.print(bench.Figure{Name: names[1], Value: float64(l.goroutines), Unit: "count", Bar: bench.AtMost(leakGoroutines)})
	e.print(bench.Figure{Name: names[2], Value: float64(l.kb), Unit: "kB", Bar: bench.AtMost(leakKB)})
	e.print(bench.Figure{Name: "windows.capture.leaks.runs", Value: float64(l.runs), Unit: "count"})
	return nil
}

// leaks is by how much something is more after the runs than before.
type leaks struct{ runs, handles, goroutines, kb int }

// parseLeaks finds in what the test wrote the line that tells of it.
func parseLeaks(out []byte) (l leaks, err error) {
	line := regexp.MustCompile(`(\d+) runs of \S+ each: handles (\d+) → (\d+), threads \d+ → \d+, goroutines (\d+) → (\d+), heap (\d+) → (\d+) kB`)
	m := line.FindSubmatch(bytes.ToValidUTF8(out, nil))
	if m == nil {
		return l, errors.New("nothing tells of it")
	}
	var n [8]int
	for i := range n[1:] {
		if n[i+1], err = strconv.Atoi(string(m[i+1])); err != nil {
			return l, fmt.Errorf("read figures: %w", err)
		}
	}
	return leaks{n[1], n[3] - n[2], n[5] - n[4], n[7] - n[6]}, nil
}
