//go:build !windows

package security

import (
	"context"

	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/scan"
)

const system = "linux"

func here(ctx context.Context, root string, pass *scan.Pass, o *facts.Out) error {
	return read(ctx, root, pass, o)
}
