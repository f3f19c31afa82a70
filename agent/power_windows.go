package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"hozen/agent/internal/helper"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/osservice"
	"hozen/agent/internal/shutdown"
	"hozen/agent/internal/winpower"
	"hozen/internal/winapi/evt"
	"hozen/internal/winapi/winboot"
	"hozen/internal/winapi/wts"
)

// powerSystem is what tells of going down and takes the PC there: Windows, by its event
// log and its service manager, and the helpers in the sessions.
type powerSystem = *windowsPower

type windowsPower struct {
	*winpower.Client
	helpers *helper.Keeper // nil where the agent does not run as a service
}

func newPowerSystem(a *agent) powerSystem {
	w := &windowsPower{Client: winpower.New(winpower.Config{
		Watch: evt.Watch, Allowed: osservice.PreshutdownNeeded, Log: a.set.log,
		Down: func(reboot bool) error {
			return winboot.ShutDown(inBoth("shutdown.by_agent"), reboot)
		},
	})}
	if a.set.managed {
		starter := wts.NewStarter()
		w.helpers = helper.New(helper.Config{
			Sessions: wts.Active, Log: a.set.log,
			Start: func(session uint32) (helper.Process, error) {
				exe, err := os.Executable()
				if err != nil {
					return nil, fmt.Errorf("find own program: %w", err)
				}
				p, err := starter.Start(session, exe, "session-helper", "--socket", a.set.socket)
				if err != nil {
					return nil, err
				}
				return p, nil
			},
		})
	}
	return w
}

// Run hears of shutdowns and keeps the helpers until ctx ends.
func (w *windowsPower) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	if w.helpers != nil {
		wg.Go(func() { w.helpers.Run(ctx) })
	}
	err := w.Client.Run(ctx)
	wg.Wait()
	return err
}

func noticeOfSystem(n shutdown.Notice) shutdown.Notice { return n }

// able reports whether the PC can be told to go down.
func (*power) able() bool { return true }

// hooks are what the service manager's frame calls, from before there is an agent on.
func hooks(current *atomic.Pointer[agent], log *slog.Logger, asService bool) osservice.Hooks {
	return osservice.Hooks{
		Managed: asService, Log: log,
		GoingDown: func(ctx context.Context, rehearsal bool) {
			if a := current.Load(); a != nil {
				a.power.preshutdown(ctx, rehearsal)
			}
		},
		Heard: func(h osservice.Heard) {
			if a := current.Load(); a != nil {
				a.power.heard(h)
			}
		},
	}
}

// preshutdown keeps what can be kept before the PC goes down. By now the sessions have
// ended; what ran in them was captured when the first of their helpers said so.
func (p *power) preshutdown(ctx context.Context, rehearsal bool) {
	source := shutdown.SourceService
	if rehearsal {
		source = shutdown.SourceRehearsal
	}
	r := p.plan.Handle(ctx, winpower.Notice(shutdown.Down, source))
	p.a.set.log.InfoContext(ctx, "the agent lets the PC go down", slog.String("told_by", source), slog.Duration("added_delay", r.Held),
		slog.Bool("captured_before", r.Joined), slog.Bool("sealed", r.Sealed), slog.String("acquisition", r.AcquisitionID))
}

// heard is a word of the service manager.
func (p *power) heard(h osservice.Heard) {
	p.bus.Heard(h)
	if h == osservice.HeardResumed {
		p.a.uplink.Wake() // connections of before the sleep are dead, and nothing says so
	}
	if h == osservice.HeardSessions {
		p.a.notices.arrivals()
	}
	if p.bus.helpers != nil {
		p.bus.helpers.Look()
	}
}

// SessionEnds hears of a helper. Whoever else says so has no session to end.
func (l localPower) SessionEnds(ctx context.Context, by localapi.Peer, ending string) error {
	p := l.a.power
	if p.bus.helpers == nil || !p.bus.helpers.Has(by.PID) {
		return localapi.ErrDenied
	}
	event := map[string]string{
		localapi.EndingDown: shutdown.Down, localapi.EndingLogoff: shutdown.Logoff, localapi.EndingCancelled: shutdown.Cancelled,
	}[ending]
	r := p.plan.Handle(ctx, winpower.Notice(event, shutdown.SourceSession))
	if event != shutdown.Cancelled {
		l.a.set.log.InfoContext(ctx, "a session ends", slog.String("how", ending), slog.Duration("added_delay", r.Held), slog.Bool("sealed", r.Sealed), slog.String("acquisition", r.AcquisitionID))
	}
	return r.Err
}

// isHelper reports whether a process is one of the agent's helpers in the sessions.
func (a *agent) isHelper(pid int) bool {
	h := a.power.bus.helpers
	return h != nil && h.Has(pid)
}

// markBoot gives this start of Windows a name.
func markBoot() error {
	_, err := winboot.Mark()
	return err
}

// mayGoDown reports whether a local user may have the PC go down: administrators, and
// whoever sits at it.
func (a *agent) mayGoDown(_ context.Context, uid string) bool {
	if uid == rootUID {
		return true
	}
	sid, err := wts.ConsoleUser()
	return err == nil && uid != "" && uid == sid
}
