package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/osservice"
	"hozen/agent/internal/shutdown"
	"hozen/agent/internal/spool"
	"hozen/internal/durable"
)

const (
	// systemdLimit is how long systemd may take to say whether the PC goes down.
	systemdLimit = time.Second
	// askLimit is how long the running agent may take; the unit's own limit is 60 s.
	askLimit = 45 * time.Second
	// aloneLimit is how long a capture without the agent may take with an incident open.
	aloneLimit = 3 * time.Second
)

// runShutdownCapture is "hozen-agent shutdown-capture", which the companion unit runs
// when it is stopped, before everything else is: it tells the running agent that the
// PC goes down, and waits until that has kept what it can. When there is no agent, it
// captures itself.
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
	asked, cancel := context.WithTimeout(ctx, askLimit)
	_, err = localapi.Do(asked, c.socketPath(), localapi.Request{Verb: localapi.VerbShutdown}, nil)
	cancel()
	if err == nil {
		return exitOK
	}
	log.WarnContext(ctx, "the agent did not keep the evidence of this shutdown; it is captured without", slog.Any("error", err))
	if err := captureAlone(ctx, c.folder(), log); err != nil {
		return c.failed(err)
	}
	return exitOK
}

// aloneFolder is the spool of captures that the agent did not make; it takes them over
// when it starts. The agent's own may be in the hands of one that hangs.
func aloneFolder(state string) string { return filepath.Join(state, "power", "spool") }

var errNothingAlive = errors.New("neither processes nor connections could be kept")

// captureAlone captures without the agent.
func captureAlone(ctx context.Context, state string, log *slog.Logger) (err error) {
	dir := aloneFolder(state)
	if err := durable.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	a := &agent{set: settings{state: state, log: log}}
	if a.identity, err = openIdentity(state); err != nil {
		return err
	}
	s, err := spool.Open(spool.Config{Dir: dir, Log: log})
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
