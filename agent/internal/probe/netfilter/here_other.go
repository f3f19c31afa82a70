//go:build !windows

package netfilter

import (
	"context"

	"hozen/agent/internal/probe/facts"
)

const system = "linux"

func here(ctx context.Context, root string, _ List, o *facts.Out) error { return rules(ctx, root, o) }
