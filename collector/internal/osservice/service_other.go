//go:build !linux && !windows

package osservice

import (
	"context"

	"github.com/kardianos/service"
)

func options(string) service.KeyValue { return nil }

// Run runs work until ctx ends.
func Run(ctx context.Context, work func(ctx context.Context) error) error { return work(ctx) }
