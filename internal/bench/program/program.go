// Package program builds the measuring programs of other trees, whose packages nothing
// else may import. It knows nothing of what they measure.
package program

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// Build builds the program of an import path into dir and returns its file. It needs Go,
// and to be called inside the module.
func Build(ctx context.Context, dir, importPath string) (string, error) {
	bin := filepath.Join(dir, path.Base(importPath))
	// As the programs are built, so that most of it is compiled already.
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-tags", "grpcnotrace", "-o", bin, importPath)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", importPath, err, bytes.TrimSpace(out))
	}
	return bin, nil
}
