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

var entriesPerSecond = regexp.MustCompile(`([0-9.]+) entries/s`)

// ledgerAppend measures how many entries a second the custody ledger takes durably, each an
// act of its own, committed together and signed once a second. It runs the
// benchmark of the package in the tree: no program's command does this and nothing else.
func ledgerAppend(ctx context.Context, e env) error {
	times := "10000x"
	if e.quick {
		times = "3000x"
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkAppend$", "-benchtime", times, "./collector/internal/checkpoint")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("append to the ledger: %w: %s", err, out.Bytes())
	}
	m := entriesPerSecond.FindSubmatch(out.Bytes())
	if m == nil {
		return fmt.Errorf("append to the ledger: no figure in %.300q", out.Bytes())
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return fmt.Errorf("append to the ledger: %w", err)
	}
	e.print(bench.Figure{Name: "custody.ledger.append", Value: v, Unit: "1/s", Bar: bench.AtLeast(5000)})
	return nil
}
