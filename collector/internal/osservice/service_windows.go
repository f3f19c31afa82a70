package osservice

import (
	"context"
	"fmt"

	"github.com/kardianos/service"
	"golang.org/x/sys/windows/svc"
)

func options(string) service.KeyValue {
	return service.KeyValue{"StartType": "automatic", "OnFailure": "restart", "OnFailureDelayDuration": "2s"}
}

// Run runs work until the service control manager stops it.
func Run(ctx context.Context, work func(ctx context.Context) error) error {
	f := &frame{ctx: ctx, work: work}
	if err := svc.Run(Name, f); err != nil {
		return fmt.Errorf("run service: %w", err)
	}
	return f.err
}

// frame is one run under the service control manager.
type frame struct {
	ctx  context.Context
	work func(ctx context.Context) error
	err  error
}

// Execute implements [svc.Handler].
func (f *frame) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (specific bool, code uint32) {
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- f.work(ctx) }()
	changes <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	for {
		select {
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				changes <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				changes <- svc.Status{State: svc.StopPending}
				cancel()
			}
		case f.err = <-ended:
			if f.err != nil {
				return true, 1
			}
			return false, 0
		}
	}
}
