package shutdown

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/id"
)

var errPanic = errors.New("the acquisition panicked")

// going is one going-down or falling asleep, from the first notice to the end of its
// capture. The PC is let go at its latest when its hold is over.
type going struct {
	plan     *Plan
	reason   string
	received time.Time
	state    *Episode // in plan.last, guarded by plan.mu
	released chan struct{}

	// guarded by plan.mu
	sealed  bool // processes or connections are safe
	ended   bool // the capture is over, sealed or not
	endedAt time.Time
	held    time.Duration
	err     error
	alone   time.Time // when it began, if only a session tells of it; else zero
}

// serves reports whether another notice can be content with g. Called with plan.mu held.
func (g *going) serves(fresh time.Duration) bool {
	return !g.ended || g.sealed && time.Since(g.endedAt) <= fresh
}

// begin starts the capture for n. Called with p.mu held.
func (p *Plan) begin(ctx context.Context, n Notice, reason string, slot **Episode) *going {
	g := &going{plan: p, reason: reason, received: n.Received, released: make(chan struct{})}
	g.state = &Episode{NoticedAt: artifact.Instant{Wall: n.At, BootNS: n.BootNS}, Source: n.Source, Type: n.Type, AcquisitionID: id.New(id.Acquisition)}
	*slot = g.state
	p.why = record.Shutdown{Reason: reason, HoldNS: int64(quickHold)}
	p.work.Go(func() { g.run(ctx, n.Source == SourceLogind || n.Source == SourceService) })
	return g
}

// release lets the PC go, once.
func (g *going) release(ctx context.Context) {
	p := g.plan
	if p.cfg.Release != nil {
		p.guard(ctx, "release", p.cfg.Release)
	}
	held, at := time.Since(g.received), p.cfg.Clock()
	p.mu.Lock()
	g.held, g.state.ReleasedAt, g.state.AddedDelayNS = held, at, int64(held)
	p.mu.Unlock()
	close(g.released)
}

// letGo is for a notice that finds its going-down over already: what holds the PC may
// have been taken since.
func (g *going) letGo(ctx context.Context, n Notice) {
	p := g.plan
	select {
	case <-g.released:
	default:
		return // whoever captures lets go
	}
	if p.cfg.Release != nil {
		p.guard(ctx, "release", p.cfg.Release)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.state.ReleasedAt.Wall.IsZero() {
		g.held = time.Since(n.Received)
		g.state.ReleasedAt, g.state.AddedDelayNS = p.cfg.Clock(), int64(g.held)
		p.saveLocked()
	}
}

// run captures, and lets the PC go when that is done or its time is over.
func (g *going) run(ctx context.Context, bySystem bool) {
	p := g.plan
	release := sync.OnceFunc(func() { g.release(ctx) })
	// The watch is set before anything can hang; an open incident gives it more time.
	watch := time.AfterFunc(time.Until(g.received.Add(quickHold)), release)
	defer watch.Stop()
	defer release()
	order := acquire.Order{
		AcquisitionID: g.state.AcquisitionID, Trigger: artifact.TriggerShutdown, Urgent: true,
		Deadline: g.received.Add(quickSeal), Reserve: quickReserve,
	}
	if g.reason == record.ReasonSleep {
		order.Trigger = artifact.TriggerSuspend
	}
	open := false
	p.guard(ctx, "incident", func() { order.IncidentID, open = p.cfg.Incident() })
	hold := quickHold
	if open {
		p.mu.Lock()
		g.state.IncidentOpen, p.why.IncidentOpen = true, true
		p.mu.Unlock()
	}
	if open && g.reason == record.ReasonDown {
		hold = g.holdForIncident(ctx, watch, bySystem)
		order.Deadline, order.Reserve = g.received.Add(hold-hold/20), 0
		g.tell(ctx, TellCapturing)
	}
	p.guard(ctx, "profile", func() { order.Profile = p.cfg.Profile(open && g.reason == record.ReasonDown) })
	res, err := g.capture(ctx, order)
	g.captured(ctx, res, err)
	if open && g.reason == record.ReasonDown && err == nil {
		g.upload(ctx, hold)
		if !Empty(res.Manifest) {
			g.tell(ctx, TellCaptured)
		}
	}
	release()
	p.mu.Lock()
	p.saveLocked()
	delay := time.Duration(g.state.AddedDelayNS)
	p.mu.Unlock()
	p.cfg.Log.InfoContext(ctx, "the PC was let go", slog.String("reason", g.reason), slog.Duration("held", delay), slog.Bool("incident_open", open), slog.Bool("sealed", err == nil && !Empty(res.Manifest)))
	debug.FreeOSMemory() // it may take a while until it is down, or not come to it
}

// holdForIncident says how long the PC may be held, and gives the watch that time.
func (g *going) holdForIncident(ctx context.Context, watch *time.Timer, bySystem bool) time.Duration {
	p := g.plan
	hold := p.cfg.MaxHold
	var allowed time.Duration
	if bySystem { // else a unit's time to stop bounds it, which is longer
		if p.cfg.Allowed != nil {
			p.guard(ctx, "allowed", func() { allowed = p.cfg.Allowed() })
		}
		if allowed <= 0 {
			allowed = defaultAllowed
		}
		hold = max(quickHold, min(hold, allowed-max(time.Second, allowed/5)))
	}
	p.mu.Lock()
	p.why.AllowedNS, p.why.HoldNS = int64(allowed), int64(hold)
	p.mu.Unlock()
	if watch.Stop() { // else it has let go already
		watch.Reset(time.Until(g.received.Add(hold)))
	}
	return hold
}

// capture runs the acquisition and survives its panic.
func (g *going) capture(ctx context.Context, o acquire.Order) (res acquire.Result, err error) {
	err = errPanic
	g.plan.guard(ctx, "acquire", func() { res, err = g.plan.cfg.Acquire(ctx, o) })
	return res, err
}

// captured notes what came of the capture.
func (g *going) captured(ctx context.Context, res acquire.Result, err error) {
	p, now := g.plan, g.plan.cfg.Clock()
	p.mu.Lock()
	defer p.mu.Unlock()
	g.ended, g.endedAt, g.sealed, g.err = true, time.Now(), err == nil && !Empty(res.Manifest), err
	g.state.note(g.received, res, err, now)
	p.why.Reason = ""
	if g.state.IncidentOpen {
		p.saveLocked() // it may be held for long yet
	}
	switch {
	case err != nil:
		p.cfg.Log.ErrorContext(ctx, "nothing was kept before the PC goes down", slog.String("reason", g.reason), slog.Any("error", err))
	case g.state.Empty:
		p.cfg.Log.ErrorContext(ctx, "neither processes nor connections were kept before the PC goes down", slog.String("reason", g.reason))
	}
}

// note enters the result of an acquisition.
func (e *Episode) note(received time.Time, res acquire.Result, err error, now artifact.Instant) {
	if err != nil {
		e.Detail = clip(err)
		return
	}
	e.SealedAt, e.Outcome, e.Empty = now, res.Manifest.Outcome, Empty(res.Manifest)
	if !res.FirstArtifactAt.IsZero() {
		e.FirstArtifactNS = int64(res.FirstArtifactAt.Sub(received))
	}
}

func (g *going) tell(ctx context.Context, key string) {
	p := g.plan
	if p.cfg.Tell != nil {
		p.tells.add(func() { p.guard(ctx, "tell", func() { p.cfg.Tell(ctx, key) }) })
	}
}

// upload waits for the collector as long as the PC may be held.
func (g *going) upload(ctx context.Context, hold time.Duration) {
	p := g.plan
	if p.cfg.Uploaded == nil || time.Since(g.received) >= hold {
		return
	}
	ctx, cancel := context.WithDeadline(ctx, g.received.Add(hold))
	defer cancel()
	p.guard(ctx, "upload", func() {
		if err := p.cfg.Uploaded(ctx, g.state.AcquisitionID); err != nil {
			p.cfg.Log.InfoContext(ctx, "the evidence is sent after the next start", slog.Any("error", err))
		}
	})
}

func (g *going) report() Report {
	g.plan.mu.Lock()
	defer g.plan.mu.Unlock()
	return Report{AcquisitionID: g.state.AcquisitionID, Sealed: g.sealed, Outcome: g.state.Outcome, Held: g.held, Err: g.err}
}

// captureEarly captures for a shutdown that is announced for later: at leisure, and in
// addition to what is captured when it comes. Called with p.mu held.
func (p *Plan) captureEarly(ctx context.Context, n Notice) {
	if !n.For.IsZero() && n.For.Sub(n.At) < earlyLeast {
		return // the shutdown itself is about to be captured
	}
	if !p.early.IsZero() && time.Since(p.early) < earlyEvery {
		return
	}
	p.early = time.Now()
	e := &Episode{NoticedAt: artifact.Instant{Wall: n.At, BootNS: n.BootNS}, Source: n.Source, Type: n.Type, AcquisitionID: id.New(id.Acquisition)}
	p.last.Early = e
	if p.why.Reason == "" {
		p.why = record.Shutdown{Reason: record.ReasonScheduled}
	}
	p.work.Go(func() {
		o := acquire.Order{AcquisitionID: e.AcquisitionID, Trigger: artifact.TriggerShutdown}
		open := false
		p.guard(ctx, "incident", func() { o.IncidentID, open = p.cfg.Incident() })
		p.guard(ctx, "profile", func() { o.Profile = p.cfg.Profile(open) })
		var res acquire.Result
		err := errPanic
		p.guard(ctx, "acquire", func() { res, err = p.cfg.Acquire(ctx, o) })
		if err != nil {
			p.cfg.Log.ErrorContext(ctx, "nothing was kept for a scheduled shutdown", slog.Any("error", err))
		}
		now := p.cfg.Clock()
		p.mu.Lock()
		defer p.mu.Unlock()
		e.IncidentOpen = open
		e.note(n.Received, res, err, now)
		if p.why.Reason == record.ReasonScheduled {
			p.why.Reason = ""
		}
		p.saveLocked()
	})
}

// clip makes an error fit for the state: bounded, on one line.
func clip(err error) string { return fmt.Sprintf("%.500q", err.Error()) }
