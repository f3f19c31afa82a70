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

var pageTime = regexp.MustCompile(`([0-9.]+) ms-p95`)

// consolePages measures the slowest kind of page of a console with 200 endpoints, 50 incidents,
// 5,000 pieces of evidence and 100,000 entries of timelines: how long 95 of 100 requests take at
// most. It runs the benchmark of the package in the tree, which says what each page took.
func consolePages(ctx context.Context, e env) error {
	args := []string{"test", "-run", "^$", "-bench", "^BenchmarkPages$", "-benchtime", "1x"}
	if e.quick {
		args = append(args, "-short")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./collector/internal/console")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("time pages: %w: %s", err, out.Bytes())
	}
	m := pageTime.FindSubmatch(out.Bytes())
	if m == nil {
		return fmt.Errorf("time pages: no figure in %.300q", out.Bytes())
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return fmt.Errorf("time pages: %w", err)
	}
	e.print(bench.Figure{Name: "console.page.p95", Value: v, Unit: "ms", Bar: bench.AtMost(300)})
	return nil
}
