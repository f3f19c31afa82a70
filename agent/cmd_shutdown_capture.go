package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/config"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/osservice"
	"hozen/agent/internal/shutdown"
	"hozen/agent/internal/spool"
	"hozen/internal/durable"
)

const (
	// systemdLimit is how long systemd may take to say whether the PC goes down, and a disk
	// to say whether an incident is open.
	systemdLimit = time.Second
	// askSlack is what the running agent may take beyond what it allows itself without an
	// incident, askSlackOpen with one.
	askSlack     = time.Second
	askSlackOpen = 5 * time.Second
	// aloneLimit is how long a capture without the agent may take with an incident open,
	// aloneSlack what opening and sealing may take beside the capture, whatever hangs.
	aloneLimit = 3 * time.Second
	aloneSlack = 4 * time.Second
)

// patience is how long the companion waits for what may hang. The unit's own limit is
// 60 s.
type patience struct{ agent, alone time.Duration }

// patienceFor says how long: without an incident nobody waits for an agent that hangs.
func patienceFor(open bool, maxDelay time.Duration) patience {
	if open {
		return patience{agent: maxDelay + askSlackOpen, alone: aloneLimit + aloneSlack}
	}
	return patience{agent: shutdown.HeldAtMost + askSlack, alone: shutdown.HeldAtMost + aloneSlack}
}

// runShutdownCapture is "hozen-agent shutdown-capture", which the companion unit runs
// when it is stopped, before everything else is: it tells the running agent that the
// PC goes down, and waits until that has kept what it can. When there is no agent, it
// captures itself. It ends in bounded time, also on a disk that does not answer.
func runShutdownCapture(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("shutdown-capture", getenv, std)
	if _, code, done := c.parse(args, 0); done {
		return code
	}
	if err := c.absolute(); err != nil {
		return c.failed(err)
	}
	log := newLog(std.err, slog.LevelInfo, true)
	// The unit is stopped too when it is uninstalled. When systemd does not say, the PC
	// goes down.
	brief, cancel := context.WithTimeout(ctx, systemdLimit)
	down, err := osservice.GoingDown(brief)
	cancel()
	if err == nil && !down {
		log.InfoContext(ctx, "the PC does not go down; nothing is captured")
		return exitOK
	}
	wait, err := within(ctx, systemdLimit, func(ctx context.Context) (patience, error) { return c.patience(ctx, log), nil })
	if err != nil {
		wait = patienceFor(false, 0)
		log.WarnContext(ctx, "taken for no incident open", slog.Any("error", err))
	}
	_, err = within(ctx, wait.agent, func(ctx context.Context) (localapi.Reply, error) {
		return localapi.Do(ctx, c.socketPath(), localapi.Request{Verb: localapi.VerbShutdown}, nil)
	})
	if err == nil {
		return exitOK
	}
	log.WarnContext(ctx, "the agent did not keep the evidence of this shutdown; it is captured without", slog.Any("error", err))
	_, err = within(ctx, wait.alone, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, captureAlone(ctx, c.folder(), log)
	})
	if err != nil {
		return c.failed(err)
	}
	return exitOK
}

// patience reads how the running agent was configured and what it knows.
func (c *command) patience(ctx context.Context, log *slog.Logger) patience {
	path, needed := c.config, true
	if path == "" {
		path, needed = defaultConfig(), false
	}
	cfg, err := config.Load(path, needed)
	if err != nil {
		cfg = config.Default()
		log.WarnContext(ctx, "the usual limits are taken", slog.Any("error", err))
	}
	// Where it cannot be read, none is taken for open; whoever captures says so.
	word, _ := openAttention(c.folder(), log)
	_, open := word.incident()
	return patienceFor(open, cfg.Shutdown.MaxDelay.Duration)
}

// within returns what do returns, or an error when its time is over: what hangs in the
// kernel is left behind.
func within[T any](ctx context.Context, limit time.Duration, do func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := do(ctx)
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("not done after %s: %w", limit, ctx.Err())
	}
}

// aloneFolder is the spool of captures that the agent did not make; it takes them over
// when it starts. The agent's own may be in the hands of one that hangs.
func aloneFolder(state string) string { return filepath.Join(state, "power", "spool") }

var errNothingAlive = errors.New("neither processes nor connections could be kept")

// captureAlone captures without the agent.
func captureAlone(ctx context.Context, state string, log *slog.Logger) (err error) {
	dir := aloneFolder(state)
	if _, err := guardState(state); err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	a := &agent{set: settings{state: state, log: log}}
	if a.identity, err = openIdentity(state); err != nil {
		return err
	}
	if a.organisation, err = openOrganisation(state, a.owner, log); err != nil {
		log.ErrorContext(ctx, "the evidence waits in the clear", slog.Any("error", err))
	}
	s, err := spool.Open(spool.Config{Dir: dir, Wrap: a.organisation.wrap, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	a.attention, err = openAttention(state, log)
	if err != nil {
		log.WarnContext(ctx, "taken for none open", slog.Any("error", err))
	}
	r := acquire.NewRunner(acquire.Config{Sink: s, Plan: newProfiles().plan, Identity: a.signer, Log: log})
	r.Prepare() // nobody did while there was time
	var plan *shutdown.Plan
	plan, err = shutdown.New(shutdown.Config{
		Dir: powerFolder(state), BootID: acquire.ThisHost().BootID, MaxHold: aloneLimit, Log: log,
		Incident: func() (string, bool) { _, open := a.attention.incident(); return "", open },
		Acquire: func(ctx context.Context, o acquire.Order) (acquire.Result, error) {
			return r.Run(ctx, withNotice(o, plan))
		},
	})
	if err != nil {
		return err
	}
	plan.Handle(ctx, notice(shutdown.Down, shutdown.SourceCompanion))
	if err := plan.Wait(ctx); err != nil { // the PC may be let go before all is sealed
		return err
	}
	e := plan.Noted().GoingDown()
	switch {
	case e == nil || e.SealedAt.Wall.IsZero():
		return errors.New("nothing could be kept")
	case e.Empty:
		return errNothingAlive
	}
	log.InfoContext(ctx, "evidence of this shutdown sealed without the agent", slog.String("acquisition", e.AcquisitionID), slog.String("outcome", string(e.Outcome)))
	return nil
}
