package osservice

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/kardianos/service"
)

// options: kardianos installs only where there is no systemd, with its own scripts.
func options() service.KeyValue { return nil }

// Run runs the service until the service manager stops it: SIGTERM, or SIGINT at a
// terminal. It tells systemd that the service is ready once work has called ready,
// and lives up to its watchdog (sd_notify(3)).
func Run(ctx context.Context, h Hooks, work func(ctx context.Context, ready func()) error) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	beats, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyStopping) }() // nobody to tell is no trouble
	return work(ctx, func() {
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
		every, err := daemon.SdWatchdogEnabled(false)
		if err != nil || every <= 0 {
			return
		}
		go watchdog(beats, h, every/2)
	})
}

// watchdog tells systemd that all is well for as long as it is.
func watchdog(ctx context.Context, h Hooks, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if h.Healthy == nil || h.Healthy(ctx) {
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
