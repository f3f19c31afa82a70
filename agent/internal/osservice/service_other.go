//go:build !linux && !windows

package osservice

import (
	"context"
	"os"
	"os/signal"

	"github.com/kardianos/service"
)

func options() service.KeyValue { return nil }

// Run runs the service until an interrupt.
func Run(ctx context.Context, _ Hooks, work func(ctx context.Context, ready func()) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	return work(ctx, func() {})
}
