package osservice

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/kardianos/service"
	"golang.org/x/sys/windows/svc"
)

func options() service.KeyValue {
	return service.KeyValue{"StartType": "automatic", "OnFailure": "restart", "OnFailureDelayDuration": "2s"}
}

// Run runs the service until the service control manager stops it. kardianos's own
// loop is not used: it never asks for the message that comes before a shutdown
// (SERVICE_ACCEPT_PRESHUTDOWN). At a console it runs until Ctrl-C.
func Run(ctx context.Context, _ Hooks, work func(ctx context.Context, ready func()) error) error {
	inService, err := svc.IsWindowsService()
	if err != nil {
		return fmt.Errorf("ask whether this is a service: %w", err)
	}
	if !inService {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
		return work(ctx, func() {})
	}
	f := &frame{ctx: ctx, work: work}
	if err := svc.Run(Name, f); err != nil {
		return fmt.Errorf("run service: %w", err)
	}
	return f.err
}

// frame is one run under the service control manager.
type frame struct {
	ctx  context.Context
	work func(ctx context.Context, ready func()) error
	err  error
}

// Execute implements [svc.Handler].
func (f *frame) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (specific bool, code uint32) {
	const accepted = svc.AcceptStop | svc.AcceptShutdown | svc.AcceptPreShutdown
	changes <- svc.Status{State: svc.StartPending}
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	ready := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() { ended <- f.work(ctx, func() { ready <- struct{}{} }) }()
	for {
		select {
		case <-ready:
			changes <- svc.Status{State: svc.Running, Accepts: accepted}
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				changes <- r.CurrentStatus
			case svc.Stop, svc.Shutdown, svc.PreShutdown:
				changes <- svc.Status{State: svc.StopPending}
				cancel()
			}
		case f.err = <-ended:
			if f.err != nil && f.ctx.Err() == nil {
				return true, 1
			}
			return false, 0
		}
	}
}
