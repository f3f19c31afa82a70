//go:build !windows

package dnscache

import (
	"context"

	"hozen/agent/internal/probe/facts"
)

const system = "linux"

func here(ctx context.Context, c Config, o *facts.Out) error { return read(ctx, c, o) }
