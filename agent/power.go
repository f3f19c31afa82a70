package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/bootverdict"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/logind"
	"hozen/agent/internal/osservice"
	"hozen/agent/internal/probe"
	noticeprobe "hozen/agent/internal/probe/shutdown"
	"hozen/agent/internal/shutdown"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/i18n"
	"hozen/internal/id"
)

// lockNeeded is how long the PC is kept from going down at most with an incident open;
// the installation raises what the system allows to it.
const lockNeeded = osservice.DelayNeeded

// power is what the agent does before the PC goes down, and how it is told to.
type power struct {
	a    *agent
	plan *shutdown.Plan
	bus  powerSystem
}

func newPower(a *agent) (*power, error) {
	p := &power{a: a, bus: newPowerSystem(a)}
	var err error
	p.plan, err = shutdown.New(shutdown.Config{
		Dir: powerFolder(a.set.state), BootID: a.bootID,
		Acquire: p.acquire,
		// The number is for people; evidence is tied by the collector, which knows the rest.
		Incident: func() (string, bool) { _, open := a.attention.incident(); return "", open },
		Allowed:  p.bus.Allowed, MaxHold: a.set.config.Shutdown.MaxDelay.Duration,
		Release: p.bus.Release, Tell: p.tell, Uploaded: p.uploaded, Mark: p.mark, Log: a.set.log,
	})
	return p, err
}

// run listens to the system until ctx ends.
func (p *power) run(ctx context.Context) error {
	p.a.runner.Prepare()
	var wg sync.WaitGroup
	wg.Go(func() { p.hear(ctx, &wg) })
	if err := p.bus.Run(ctx); err != nil && ctx.Err() == nil {
		p.a.set.log.WarnContext(ctx, "the system does not tell that the PC goes down", slog.Any("error", err))
	}
	<-ctx.Done()
	wg.Wait()
	// What was begun is ended: systemd waits for the agent as it does for others.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockNeeded/2)
	defer cancel()
	if err := p.plan.Wait(limit); err != nil {
		p.a.set.log.ErrorContext(ctx, "stopped before the evidence of the shutdown was kept", slog.Any("error", err))
	}
	return nil
}

// hear hands what the system tells to the plan. Going down is waited for beside
// it, so that taking it back is heard meanwhile.
func (p *power) hear(ctx context.Context, wg *sync.WaitGroup) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-p.bus.Events():
			wg.Go(func() { p.plan.Handle(ctx, noticeOfSystem(e)) })
		}
	}
}

// tell tells the people at the PC, by what they see when they are signed in.
func (p *power) tell(ctx context.Context, key string) {
	p.a.set.log.InfoContext(ctx, "the people at the PC are told", slog.String("text", key))
	p.a.people.say(ctx, inBoth(key))
}

// inBoth is a text for whoever sits there, in both languages.
func inBoth(key string, pairs ...string) string {
	texts, err := catalogue()
	if err != nil {
		return key
	}
	return texts.Printer(i18n.Japanese).Text(key, pairs...) + "\n" + texts.Printer(i18n.English).Text(key, pairs...)
}

// acquire captures before the PC goes down. The notice is part of it; the flight record
// is read at the next boot, which has the time.
func (p *power) acquire(ctx context.Context, o acquire.Order) (acquire.Result, error) {
	return p.a.acquire(ctx, withNotice(o, p.plan))
}

// withNotice adds to an order what gave rise to it.
func withNotice(o acquire.Order, plan *shutdown.Plan) acquire.Order {
	o.Extra = append(o.Extra, acquire.Planned{Budget: 50 * time.Millisecond, New: func() probe.Probe { return noticeprobe.New(plan.Record) }})
	return o
}

// companion is the companion unit's word that the PC goes down.
func (p *power) companion(ctx context.Context) error {
	r := p.plan.Handle(ctx, notice(shutdown.Down, shutdown.SourceCompanion))
	return r.Err
}

func notice(event, source string) shutdown.Notice {
	return shutdown.Notice{ShutdownNotice: record.ShutdownNotice{Event: event, Source: source, ByUID: record.Unknown}, Received: time.Now()}
}

// mark puts a notice into the flight record.
func (p *power) mark(_ context.Context, n record.ShutdownNotice) {
	name, ok := map[string]string{
		shutdown.Down: markShutdown, shutdown.Cancelled: markCancelled, shutdown.Sleep: markSuspend, shutdown.Resumed: markResume,
	}[n.Event]
	if !ok {
		name = "shutdown_" + n.Event
	}
	p.a.recording.mark(name, n.Source)
	if err := p.a.recording.flush(); err != nil {
		p.a.set.log.Warn("the notice is not in the flight record", slog.Any("error", err))
	}
}

// uploaded waits until the collector has an acquisition.
func (p *power) uploaded(ctx context.Context, acquisitionID string) error {
	if !p.a.delivered(ctx, acquisitionID) {
		return errors.New("the collector does not have it yet")
	}
	return nil
}

// noted is what a boot noted of going down, or nil.
func noted(last shutdown.Last) *bootverdict.Shutdown {
	e := last.GoingDown()
	if e == nil {
		return nil
	}
	s := &bootverdict.Shutdown{
		BootID: last.BootID, Source: e.Source, Type: e.Type,
		NoticedAt: e.NoticedAt, SealedAt: e.SealedAt, ReleasedAt: e.ReleasedAt, AddedDelay: time.Duration(e.AddedDelayNS),
	}
	switch {
	case e.Outcome == artifact.Failed, e.Empty: // sealed, and nothing in it of what was alive
		s.SealedAt = artifact.Instant{}
	case !e.SealedAt.Wall.IsZero():
		s.AcquisitionID = e.AcquisitionID
	}
	if e.Source == shutdown.SourcePreserve {
		s.By = shutdown.SourcePreserve
	}
	if n := last.By(); n != nil {
		s.Who = askedBy(*n)
	}
	return s
}

// askedBy names who asked for a shutdown, as far as the system said.
func askedBy(n record.ShutdownNotice) string {
	var words []string
	if n.ByUID >= 0 {
		words = append(words, fmt.Sprintf("uid %d", n.ByUID))
	}
	if n.ByPID > 0 {
		words = append(words, fmt.Sprintf("pid %d", n.ByPID))
	}
	if n.ByTTY != "" {
		words = append(words, "tty "+n.ByTTY)
	}
	return strings.Join(words, ", ")
}

// down has the PC go down; where that fails, the collector is told.
func (p *power) down(ctx context.Context, then, by string, uid int64, l logind.Locks) error {
	err := p.ask(ctx, then, by, uid, l)
	if err != nil {
		p.stayedUp(ctx, then, by, err)
	}
	return err
}

// ask has the PC go down in the orderly way, so that everything else is kept too. What
// is alive is captured once more before it is asked for: since the evidence of the
// decision, people have waited for its delivery.
func (p *power) ask(ctx context.Context, then, by string, uid int64, l logind.Locks) error {
	p.a.set.log.WarnContext(ctx, "the PC goes down after its evidence was kept", slog.String("then", then), slog.String("by", by))
	call, kind := p.bus.PowerOff, "poweroff"
	switch then {
	case localapi.ThenPowerOff:
	case localapi.ThenReboot:
		call, kind = p.bus.Reboot, "reboot"
	default:
		return fmt.Errorf("go down: %.40q is no way to", then)
	}
	n := notice(shutdown.Down, shutdown.SourcePreserve)
	n.Type, n.ByUID = kind, uid
	p.plan.Handle(ctx, n)
	if err := call(ctx, l); err != nil {
		p.plan.Handle(ctx, notice(shutdown.Cancelled, shutdown.SourcePreserve))
		return fmt.Errorf("go down: %w", err)
	}
	return nil
}

// agentItself is the reporter of what the agent has to say without a person.
const agentItself = "hozen-agent"

// stayedUp tells the collector that the PC goes on running although evidence was kept for
// switching it off. The order's result says that it was carried out by then, and the first
// result counts; so this is a report of its own, which is kept until it is delivered.
func (p *power) stayedUp(ctx context.Context, then, by string, why error) {
	p.a.set.log.ErrorContext(ctx, "the PC does not go down", slog.String("then", then), slog.Any("error", why))
	err := p.a.uplink.Alert(journal.Alert{
		ID: id.New(id.Alert), Reporter: agentItself, ReportedAt: time.Now().UTC(),
		Message: inBoth("preserve.stayed_up."+then, "by", fmt.Sprintf("%.120s", clean(by)), "error", fmt.Sprintf("%.300q", why.Error())),
	})
	if err != nil {
		p.a.set.log.ErrorContext(ctx, "the collector is not told that the PC goes on running", slog.Any("error", err))
	}
}
