package uplink

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hozen/agent/internal/uplink/journal"
	"hozen/proto/wire"
)

// keepRetry is the wait before a result that could not be kept is tried again.
const keepRetry = 5 * time.Second

// startLanes starts carrying commands out, at first those that an earlier process
// left. Acquisitions have a lane of their own, so that cutting the network never
// waits behind one; within a lane the order is that of the counters.
func (u *Uplink) startLanes(ctx context.Context, wg *sync.WaitGroup) {
	wake := [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)}
	for i, verbs := range [2]map[journal.Verb]bool{
		{journal.Acquire: true, journal.Preserve: true},
		{journal.Isolate: true, journal.Release: true, journal.Unknown: true},
	} {
		signal(wake[i])
		wg.Go(func() { u.lane(ctx, wake[i], verbs) })
	}
	wg.Go(func() {
		for {
			select {
			case <-u.lanes:
				signal(wake[0])
				signal(wake[1])
			case <-ctx.Done():
				return
			}
		}
	})
}

func (u *Uplink) lane(ctx context.Context, wake <-chan struct{}, verbs map[journal.Verb]bool) {
	for {
		for _, e := range u.cfg.Journal.Unfinished() {
			if !verbs[e.Command.Verb] {
				continue
			}
			if ctx.Err() != nil || !u.carryOut(ctx, e) {
				return
			}
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}

// carryOut does one command and keeps its result. It reports false when the agent is
// stopping; the command is then taken up again at the next start.
func (u *Uplink) carryOut(ctx context.Context, e journal.Entry) bool {
	r, ok := u.result(ctx, e)
	if !ok {
		return false
	}
	r.CommandID = e.Command.ID
	if r.FinishedAt.IsZero() {
		r.FinishedAt = time.Now()
	}
	r.FinishedAt = r.FinishedAt.UTC()
	r.Detail, r.Isolation = wire.Text(r.Detail, wire.MaxDetail), fit(r.Isolation)
	for {
		err := u.cfg.Journal.Finish(r)
		if err == nil {
			signal(u.results)
			u.settle()
			u.farewell(ctx, e.Command, r)
			return true
		}
		u.cfg.Log.ErrorContext(ctx, "result not kept", slog.Any("error", err))
		select {
		case <-time.After(keepRetry):
		case <-ctx.Done():
			return false
		}
	}
}

func (u *Uplink) result(ctx context.Context, e journal.Entry) (journal.Result, bool) {
	c := e.Command
	if c.Verb == journal.Unknown {
		return journal.Result{Status: journal.Unsupported, Detail: "this version of the agent does not know this command"}, true
	}
	if now := u.cfg.Identity.Now(); !e.Started && !c.ExpiresAt.IsZero() && now.After(c.ExpiresAt) {
		return journal.Result{Status: journal.Expired, Detail: "it was not to be begun after " + c.ExpiresAt.UTC().Format(time.RFC3339)}, true
	}
	if u.cfg.Journal.Superseded(e) {
		return journal.Result{Status: journal.Expired, Detail: "a later order about the network was begun before this one came"}, true
	}
	if err := u.cfg.Journal.Start(c.ID); err != nil {
		// Not worth refusing an order for: it is only forgotten that it was begun.
		u.cfg.Log.ErrorContext(ctx, "begin of command not noted", slog.Any("error", err))
	}
	r := u.call(ctx, c)
	// A result that the stopping of the agent led to is not what came of the command.
	return r, ctx.Err() == nil || r.Status == journal.Done
}

// call runs the handler; a fault in it is the command's failure, not the agent's end.
func (u *Uplink) call(ctx context.Context, c journal.Command) (r journal.Result) {
	defer func() {
		if p := recover(); p != nil {
			u.cfg.Log.ErrorContext(ctx, "command handler panicked", slog.String("verb", string(c.Verb)), slog.Any("panic", p))
			r = journal.Result{Status: journal.Failed, Detail: fmt.Sprintf("fault in the agent: %v", p)}
		}
	}()
	switch c.Verb {
	case journal.Acquire:
		return u.cfg.Handler.Acquire(ctx, c)
	case journal.Isolate:
		return u.cfg.Handler.Isolate(ctx, c)
	case journal.Preserve:
		return u.cfg.Handler.Preserve(ctx, c)
	default:
		return u.cfg.Handler.Release(ctx, c)
	}
}
