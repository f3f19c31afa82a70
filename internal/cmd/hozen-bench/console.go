package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"

	"hozen/internal/bench"
)

// consolePages measures the slowest kind of page of a console with 200 endpoints, 50 incidents,
// 5,000 pieces of evidence and 100,000 entries of timelines: how long 95 of 100 requests take at
// most. It runs the benchmark of the package in the tree, which says what each page took.
func consolePages(ctx context.Context, e env) error {
	v, err := consoleTime(ctx, e, "BenchmarkPages", "ms-p95")
	if err != nil {
		return fmt.Errorf("time pages: %w", err)
	}
	e.print(bench.Figure{Name: "console.page.p95", Value: v, Unit: "ms", Bar: bench.AtMost(300)})
	return nil
}

// documents measures the slowest document of an incident with thousands of lines, from the
// order until the frozen version is kept.
func documents(ctx context.Context, e env) error {
	v, err := consoleTime(ctx, e, "BenchmarkDocuments", "ms-slowest")
	if err != nil {
		return fmt.Errorf("time documents: %w", err)
	}
	e.print(bench.Figure{Name: "report.document.max", Value: v, Unit: "ms", Bar: bench.AtMost(5000)})
	return nil
}

// consoleTime runs a benchmark of the console's package and returns its figure of a unit.
func consoleTime(ctx context.Context, e env, name, unit string) (float64, error) {
	args := []string{"test", "-run", "^$", "-bench", "^" + name + "$", "-benchtime", "1x"}
	if e.quick {
		args = append(args, "-short")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./collector/internal/console")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out.Bytes())
	}
	m := regexp.MustCompile(`([0-9.]+) ` + unit).FindSubmatch(out.Bytes())
	if m == nil {
		return 0, fmt.Errorf("no figure in %.300q", out.Bytes())
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
