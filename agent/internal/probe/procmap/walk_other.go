//go:build !windows

package procmap

import (
	"context"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
)

func walk(ctx context.Context, pass *scan.Pass, w probe.Writer) error {
	return pass.Walk(ctx, w, "memory maps", read)
}
