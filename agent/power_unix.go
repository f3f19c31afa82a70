//go:build !windows

package main

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"

	"hozen/agent/internal/localapi"
	"hozen/agent/internal/logind"
	"hozen/agent/internal/osservice"
	"hozen/agent/internal/shutdown"
	"hozen/internal/artifact/record"
)

// powerSystem is what tells of going down and takes the PC there: the login service.
type powerSystem = *logind.Client

func newPowerSystem(a *agent) powerSystem { return logind.New(logind.Config{Log: a.set.log}) }

func noticeOfSystem(e logind.Event) shutdown.Notice {
	return shutdown.Notice{Received: e.Received, ShutdownNotice: record.ShutdownNotice{
		Event: string(e.Kind), Source: shutdown.SourceLogind, Type: e.Type, For: e.For, ByUID: e.UID, ByTTY: e.TTY,
	}}
}

// able reports whether the PC can be told to go down.
func (p *power) able() bool { return p.bus.State().Logind }

// hooks are what the service manager's frame calls.
func hooks(current *atomic.Pointer[agent], log *slog.Logger, asService bool) osservice.Hooks {
	return osservice.Hooks{Managed: asService, Log: log, Healthy: func(ctx context.Context) bool {
		a := current.Load()
		return a == nil || a.healthy(ctx)
	}}
}

// SessionEnds is for Windows, where a helper waits in every session.
func (localPower) SessionEnds(context.Context, localapi.Peer, string) error {
	return localapi.ErrDenied
}

// isHelper: there are no helpers.
func (*agent) isHelper(int) bool { return false }

// markBoot does nothing where the system names its boots itself.
func markBoot() error { return nil }

// mayGoDown reports whether a local user may have the PC go down: the administrator,
// and whoever sits at it.
func (a *agent) mayGoDown(ctx context.Context, uid string) bool {
	n, err := strconv.ParseUint(uid, 10, 32)
	if err != nil {
		return false
	}
	return n == 0 || slices.ContainsFunc(signIns(ctx), func(s record.Session) bool {
		return s.Source == record.SourceLogind && s.UID == int64(n) && s.Seat != "" && s.State == "active" && !s.Remote
	})
}
