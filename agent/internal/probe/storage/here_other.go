//go:build !windows

package storage

import (
	"context"

	"hozen/agent/internal/probe/facts"
)

const system = "linux"

func here(ctx context.Context, root string, o *facts.Out) error { return read(ctx, root, o) }
