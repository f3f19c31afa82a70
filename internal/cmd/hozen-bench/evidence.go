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

// Bars of evidence packages, in MB of sealed evidence a second.
const (
	exportBar = 100
	verifyBar = 300
)

var packageSpeed = regexp.MustCompile(`BenchmarkPackage/(export|verify)/(mix|text)\S*\s.*?([0-9.]+) MB/s`)

// evidencePackage measures how fast the collector writes a package and hozen-verify's code
// checks it: volatile acquisitions of busy PCs and one image of memory. Beside it stands,
// without a bar, the same without the image: each sealed byte of that is some ten bytes of
// text that are unpacked, read, made into a table and packed again. It runs the
// benchmark of the package in the tree, for the evidence must have been received.
func evidencePackage(ctx context.Context, e env) error {
	times := "4x"
	if e.quick {
		times = "2x"
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkPackage$", "-benchtime", times, "./collector/internal/act")
	cmd.Env = append(cmd.Environ(), "TMPDIR="+e.dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("write and check packages: %w: %s", err, out.Bytes())
	}
	for _, m := range packageSpeed.FindAllSubmatch(out.Bytes(), -1) {
		v, err := strconv.ParseFloat(string(m[3]), 64)
		if err != nil {
			return fmt.Errorf("write and check packages: %w", err)
		}
		f := bench.Figure{Name: "evidence." + string(m[1]), Value: v, Unit: "MB/s"}
		switch {
		case string(m[2]) == "text":
			f.Name += ".text"
		case string(m[1]) == "export":
			f.Bar = bench.AtLeast(exportBar)
		default:
			f.Bar = bench.AtLeast(verifyBar)
		}
		e.print(f)
	}
	return nil
}
