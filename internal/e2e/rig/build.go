package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Programs are the files of one build.
type Programs struct {
	Agent, Collector, Verify string
}

// In returns the programs that lie in a folder.
func In(dir string) Programs {
	return Programs{filepath.Join(dir, "hozen-agent"), filepath.Join(dir, "hozen-collector"), filepath.Join(dir, "hozen-verify")}
}

// Build builds the programs of the tree at root into dir as the Makefile does, with
// further build tags.
func Build(ctx context.Context, root, dir string, tags ...string) (Programs, error) {
	p := In(dir)
	for _, b := range []struct{ out, pkg, tag, gc string }{
		{p.Agent, "./agent", "grpcnotrace", "google.golang.org/...=-l"},
		{p.Collector, "./collector", "", ""},
		{p.Verify, "./internal/cmd/hozen-verify", "", ""},
	} {
		list := b.tag
		for _, t := range tags {
			list += "," + t
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w -funcalign=16",
			"-gcflags="+b.gc, "-tags", list, "-o", b.out, b.pkg)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", b.pkg, err, out)
		}
	}
	return p, nil
}
