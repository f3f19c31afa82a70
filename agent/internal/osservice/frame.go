package osservice

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"
)

// Times of a service under the Windows service control manager.
const (
	// PreshutdownNeeded is how long Windows is told to wait for the agent before a
	// shutdown (SERVICE_PRESHUTDOWN_INFO). The system's own default is 10 s from Windows
	// 10 1703 on. It is used up with an open incident only.
	PreshutdownNeeded = 120 * time.Second
	// preshutdownWork is after how long of it the agent ends whatever hangs, so that it is
	// stopped in order before it is killed.
	preshutdownWork = PreshutdownNeeded - 15*time.Second
	// stopWork is after how long an agent that was told to stop is taken for hanging, as
	// systemd does (TimeoutStopSec).
	stopWork = 60 * time.Second
	// beat is how often a service that starts or stops shows that it lives, and beatHint
	// how long the manager is told to wait for the next sign.
	beat     = 500 * time.Millisecond
	beatHint = 5 * time.Second
)

// RehearsalCode is the user-defined control code (128 to 255, ControlService) by which an
// administrator has the service do all that it does when the PC goes down, its own end
// included.
const RehearsalCode = 200

// Heard is what the system told a running service.
type Heard string

// What can be heard.
const (
	HeardSessions Heard = "sessions" // who is signed in has changed
	HeardLogoff   Heard = "logoff"   // somebody signed out
	HeardSuspend  Heard = "suspend"  // the PC is suspended or hibernates, now
	HeardResumed  Heard = "resumed"  // it woke up
	heardNothing  Heard = ""
)

// Event types of SERVICE_CONTROL_SESSIONCHANGE (WM_WTSSESSION_CHANGE) and of
// SERVICE_CONTROL_POWEREVENT (WM_POWERBROADCAST), WinUser.h.
const (
	wtsConsoleConnect = 1
	wtsRemoteConnect  = 3
	wtsLogon          = 5
	wtsLogoff         = 6
	pbtSuspend        = 4
	pbtResumeSuspend  = 7
	pbtResumeAuto     = 18
)

func heardOfSession(event uint32) Heard {
	switch event {
	case wtsConsoleConnect, wtsRemoteConnect, wtsLogon:
		return HeardSessions
	case wtsLogoff:
		return HeardLogoff
	}
	return heardNothing
}

func heardOfPower(event uint32) Heard {
	switch event {
	case pbtSuspend:
		return HeardSuspend
	case pbtResumeSuspend, pbtResumeAuto:
		return HeardResumed
	}
	return heardNothing
}

// wish is what the service control manager wants of a service.
type wish int

const (
	wishStatus wish = iota
	wishStop
	wishPreshutdown
	wishRehearsal
	wishSession
	wishPower
)

type word struct {
	wish  wish
	event uint32 // of wishSession and wishPower
}

// phase is what a service says of itself.
type phase int

const (
	starting phase = iota
	running
	stopping
)

type standing struct {
	phase      phase
	checkPoint uint32 // rises while the service starts or stops
}

// frame is the life of a service under a manager that talks to it, whoever that is.
type frame struct {
	hooks Hooks
	work  func(ctx context.Context, ready func()) error
	log   *slog.Logger
}

var errHangs = errors.New("the agent did not end in time")

// live works until the manager wants an end. It never waits for anything but the next
// thing to happen: a manager that gets no answer takes the service for dead.
func (f *frame) live(ctx context.Context, controls <-chan word, tell func(standing)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready, ended, kept := make(chan struct{}, 1), make(chan error, 1), make(chan struct{}, 1)
	go func() { ended <- f.work(ctx, func() { ready <- struct{}{} }) }()
	now := standing{phase: starting, checkPoint: 1}
	tell(now)
	var begun time.Time // when the end was ordered
	end := func() {
		if now.phase != stopping {
			now, begun = standing{phase: stopping, checkPoint: 1}, time.Now()
			tell(now)
		}
	}
	var late <-chan time.Time
	tick := time.NewTicker(beat)
	defer tick.Stop()
	down := false
	for {
		select {
		case <-ready:
			if now.phase == starting {
				now = standing{phase: running}
				tell(now)
			}
		case c := <-controls:
			switch c.wish {
			case wishStatus:
				tell(now)
			case wishStop:
				end()
				stop()
				if late == nil {
					late = time.After(stopWork)
				}
			case wishPreshutdown, wishRehearsal:
				end()
				if down {
					continue
				}
				down = true
				late = time.After(preshutdownWork)
				go func() {
					f.guard(func() { f.goingDown(context.WithoutCancel(ctx), c.wish == wishRehearsal) })
					kept <- struct{}{}
				}()
			case wishSession:
				f.hear(heardOfSession(c.event))
			case wishPower:
				f.hear(heardOfPower(c.event))
			}
		case <-kept:
			stop()
		case <-late:
			if ctx.Err() != nil {
				return errHangs
			}
			stop()
			late = time.After(beatHint)
		case <-tick.C:
			if now.phase != running {
				now.checkPoint++
				tell(now)
			}
		case err := <-ended:
			if !begun.IsZero() {
				f.log.Info("the agent has stopped", slog.Duration("took", time.Since(begun)), slog.Bool("going_down", down))
			}
			return err
		}
	}
}

func (f *frame) goingDown(ctx context.Context, rehearsal bool) {
	if f.hooks.GoingDown != nil {
		f.hooks.GoingDown(ctx, rehearsal)
	}
}

func (f *frame) hear(h Heard) {
	if h != heardNothing && f.hooks.Heard != nil {
		f.guard(func() { f.hooks.Heard(h) })
	}
}

// guard keeps what a hook does wrong from the service.
func (f *frame) guard(do func()) {
	defer func() {
		if v := recover(); v != nil {
			f.log.Error("panic at a word of the service manager", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		}
	}()
	do()
}
