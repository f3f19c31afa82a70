package osservice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/kardianos/service"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
)

func options() service.KeyValue {
	return service.KeyValue{"StartType": "automatic", "OnFailure": "restart", "OnFailureDelayDuration": "5s"}
}

// Run runs the service until the service control manager stops it. kardianos's own
// loop is not used: it never asks for the message that comes before a shutdown
// (SERVICE_ACCEPT_PRESHUTDOWN). At a console it runs until Ctrl-C.
func Run(ctx context.Context, h Hooks, work func(ctx context.Context, ready func()) error) error {
	if !h.Managed {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
		return work(ctx, func() {})
	}
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	m := &managed{ctx: ctx, frame: frame{hooks: h, work: work, log: h.Log}}
	if err := svc.Run(Name, m); err != nil {
		if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
			return fmt.Errorf("run --service is for the service control manager: %w", err)
		}
		return fmt.Errorf("run service: %w", err)
	}
	return m.err
}

// managed is one run under the service control manager.
type managed struct {
	ctx   context.Context
	frame frame
	err   error
}

// accepted leaves SERVICE_ACCEPT_SHUTDOWN out: who takes the message before a shutdown
// gets no other (SERVICE_ACCEPT_PRESHUTDOWN, Handler function).
const accepted = svc.AcceptStop | svc.AcceptPreShutdown | svc.AcceptSessionChange | svc.AcceptPowerEvent

// queueRoom is how many words of the manager may wait. The thread that brings them must
// return at once; see golang.org/x/sys/windows/svc, which hands them over unbuffered.
const queueRoom = 64

// Execute implements [svc.Handler].
func (m *managed) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (specific bool, code uint32) {
	go m.mend()
	controls, done := make(chan word, queueRoom), make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case r := <-requests:
				// What a session change points at is dead by now (golang/go#65832) and is never
				// looked at: who is signed in is asked for instead.
				if c, ok := controlOf(r); ok {
					select {
					case controls <- c:
					default: // it has 64 to do already
					}
				}
			case <-done:
				return
			}
		}
	}()
	m.err = m.frame.live(m.ctx, controls, func(s standing) { changes <- status(s) })
	if m.err != nil && m.ctx.Err() == nil {
		m.frame.log.Error("the agent ends", slog.Any("error", m.err)) // it is told nowhere else
		return true, 1
	}
	return false, 0
}

func controlOf(r svc.ChangeRequest) (c word, ok bool) {
	w, ok := map[svc.Cmd]wish{
		svc.Interrogate: wishStatus, svc.Stop: wishStop, svc.Shutdown: wishPreshutdown, svc.PreShutdown: wishPreshutdown,
		RehearsalCode: wishRehearsal, svc.SessionChange: wishSession, svc.PowerEvent: wishPower,
	}[r.Cmd]
	return word{w, r.EventType}, ok
}

func status(s standing) svc.Status {
	hint := uint32(beatHint / time.Millisecond)
	switch s.phase {
	case starting:
		return svc.Status{State: svc.StartPending, CheckPoint: s.checkPoint, WaitHint: hint}
	case running:
		return svc.Status{State: svc.Running, Accepts: accepted}
	}
	return svc.Status{State: svc.StopPending, CheckPoint: s.checkPoint, WaitHint: hint}
}

// mend puts right what the installer left or somebody changed since.
func (m *managed) mend() {
	for _, t := range Mend() {
		switch {
		case t.Mended:
			m.frame.log.Warn("the service was not set up as it is to be and has been put right", slog.String("what", t.ID), slog.String("was", t.Got))
		case t.Level == Bad:
			m.frame.log.Error("the service is not set up as it is to be", slog.String("what", t.ID), slog.String("is", t.Got), slog.String("detail", t.Detail))
		case t.Level == Dim:
			m.frame.log.Info("this Windows does not tell how the service is set up", slog.String("what", t.ID), slog.String("detail", t.Detail))
		}
	}
}
