package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/logind"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/clock"
	"hozen/agent/internal/probe/exehash"
	"hozen/agent/internal/probe/hostinfo"
	"hozen/agent/internal/probe/netconfig"
	"hozen/agent/internal/probe/netconn"
	"hozen/agent/internal/probe/openfile"
	"hozen/agent/internal/probe/process"
	"hozen/agent/internal/probe/scan"
	"hozen/agent/internal/probe/session"
	noticeprobe "hozen/agent/internal/probe/shutdown"
	"hozen/agent/internal/shutdown"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// turn is what came of one shutdown; internal/bench/shutdown reads it. Times that
// another process is to compare are on CLOCK_MONOTONIC.
type turn struct {
	FirstArtifactAt int64  `json:"first_artifact_at"` // when it was durable
	SealedAt        int64  `json:"sealed_at"`
	HeldNS          int64  `json:"held_ns"` // as the record says
	Outcome         string `json:"outcome"`
	Processes       int64  `json:"processes"` // lines of the artifact
	Sockets         int64  `json:"sockets"`
	Missing         string `json:"missing"` // what the probes say of what they did not get
	BareNS          int64  `json:"bare_ns"` // the bare operation, right after
}

// planned is the agent's part of going down.
type planned struct {
	dir    string
	bus    *logind.Client
	plan   *shutdown.Plan
	runner *acquire.Runner
	spool  *spool.Spool

	mu     sync.Mutex
	result acquire.Result // of this turn
	sealed time.Time
}

func newPlanned(dir, bus string, log *slog.Logger) (p *planned, err error) {
	p = &planned{dir: dir, bus: logind.New(logind.Config{Address: bus, Scheduled: filepath.Join(dir, "run", "scheduled"), Log: log})}
	p.spool, err = spool.Open(spool.Config{Dir: filepath.Join(dir, "spool"), KeepAfterReceipt: -1, Log: log})
	if err != nil {
		return nil, err
	}
	signer, err := identity.NewOneTime()
	if err != nil {
		return nil, err
	}
	p.runner = acquire.NewRunner(acquire.Config{
		Sink: p.spool, Plan: flash, Log: log,
		Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil },
	})
	p.plan, err = shutdown.New(shutdown.Config{
		Dir: filepath.Join(dir, "power"), BootID: acquire.ThisHost().BootID,
		Acquire: p.acquire, Allowed: p.bus.Allowed, Release: p.bus.Release, Log: log,
	})
	return p, err
}

// flash is the agent's profile of that name. Digests are remembered from one turn to the
// next in an agent that runs, but a PC goes down once: each turn computes them anew.
func flash(profile string) (acquire.Plan, error) {
	pass := scan.New(scan.Options{})
	line := func(budget time.Duration, p probe.Probe) acquire.Planned {
		return acquire.Planned{New: func() probe.Probe { return p }, Budget: budget}
	}
	hashes := line(1500*time.Millisecond, exehash.New(pass, exehash.NewCache(0)))
	hashes.Rest = true
	return acquire.Plan{Profile: profile, Probes: []acquire.Planned{
		line(2*time.Second, process.New(pass)),
		line(2*time.Second, netconn.New(pass)),
		line(1500*time.Millisecond, openfile.New(pass)),
		line(500*time.Millisecond, session.New("/")),
		line(500*time.Millisecond, netconfig.New("/")),
		line(500*time.Millisecond, hostinfo.New("/")),
		line(250*time.Millisecond, clock.New("/")),
		hashes,
	}}, nil
}

func (p *planned) acquire(ctx context.Context, o acquire.Order) (acquire.Result, error) {
	o.Extra = append(o.Extra, acquire.Planned{Budget: 50 * time.Millisecond, New: func() probe.Probe { return noticeprobe.New(p.plan.Record) }})
	res, err := p.runner.Run(ctx, o)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.result, p.sealed = res, time.Now()
	return res, err
}

// plan takes part in shutdowns that are called off until standard input ends.
func plan(ctx context.Context, dir, bus string, log *slog.Logger) (err error) {
	p, err := newPlanned(dir, bus, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.spool.Close()) }()
	p.runner.Prepare()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is what matters
		cancel()
	}()
	var busErr error
	wg.Go(func() { busErr = p.bus.Run(ctx); cancel() })
	var done turn
	for {
		if err := p.held(ctx); err != nil {
			break
		}
		if err := say(done); err != nil {
			return err
		}
		if done, err = p.turn(ctx); err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		err = nil
	}
	cancel()
	wg.Wait()
	return errors.Join(err, busErr)
}

// held waits for the lock.
func (p *planned) held(ctx context.Context) error {
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for !p.bus.State().Held {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// turn is one shutdown, from its notice until it is called off and all is written.
func (p *planned) turn(ctx context.Context) (t turn, err error) {
	var wg sync.WaitGroup
	for over := false; !over; {
		select {
		case <-ctx.Done():
			return t, ctx.Err()
		case e := <-p.bus.Events():
			n := shutdown.Notice{Received: e.Received, ShutdownNotice: record.ShutdownNotice{
				Event: string(e.Kind), Source: shutdown.SourceLogind, Type: e.Type, For: e.For, ByUID: e.UID, ByTTY: e.TTY,
			}}
			wg.Go(func() { p.plan.Handle(ctx, n) })
			over = e.Kind == logind.Cancelled
		}
	}
	wg.Wait()
	if err := p.plan.Wait(ctx); err != nil {
		return t, err
	}
	last, err := shutdown.ReadLast(filepath.Join(p.dir, "power"))
	if err != nil {
		return t, err
	}
	p.mu.Lock()
	res, sealed := p.result, p.sealed
	p.mu.Unlock()
	e := last.Down
	if e == nil || e.AcquisitionID != res.AcquisitionID || e.SealedAt.Wall.IsZero() || res.FirstArtifactAt.IsZero() {
		return t, fmt.Errorf("nothing was sealed: %+v", e)
	}
	t = turn{FirstArtifactAt: monotonic(res.FirstArtifactAt), SealedAt: monotonic(sealed), HeldNS: e.AddedDelayNS, Outcome: string(e.Outcome)}
	for _, a := range res.Manifest.Probes {
		switch a.Kind {
		case artifact.KindProcess:
			t.Processes = a.Records
		case artifact.KindNetConn:
			t.Sockets = a.Records
		}
		if a.Outcome != artifact.Complete && a.Outcome != artifact.Empty {
			t.Missing += fmt.Sprintf("%s %s after %s: %s; ", a.Kind, a.Outcome, time.Duration(a.DurationNS), a.Detail)
		}
	}
	if err := p.spool.Receipt(res.AcquisitionID, []byte("received\n")); err != nil { // so that the spool stays as small as a PC's
		return t, err
	}
	var size int64
	for _, a := range res.Manifest.Artifacts {
		if a.Kind == artifact.KindProcess || a.Kind == artifact.KindNetConn {
			size += a.Stored.Size
		}
	}
	took, err := bare(ctx, filepath.Join(p.dir, "bare"), size)
	t.BareNS = int64(took)
	return t, err
}

// monotonic returns when at was, on CLOCK_MONOTONIC.
func monotonic(at time.Time) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // not of this clock
	}
	return ts.Nano() - int64(time.Since(at))
}

// lines keeps what a probe writes, as lines in memory.
type lines []byte

// Write implements probe.Writer.
func (l *lines) Write(r probe.Record) error {
	*l = append(r.AppendJSON(*l), '\n')
	return nil
}

// bare is what a first artifact cannot do without: processes and sockets are read, and
// as many bytes as their artifacts have are written and synced once.
func bare(ctx context.Context, path string, size int64) (time.Duration, error) {
	begun := time.Now()
	pass := scan.New(scan.Options{})
	var out lines
	for _, p := range []probe.Probe{process.New(pass), netconn.New(pass)} {
		before := len(out)
		if err := p.Acquire(ctx, &out); err != nil && len(out) == before { // else the product lacks it too
			return 0, fmt.Errorf("acquire %s: %w", p.Kind(), err)
		}
	}
	if size > int64(len(out)) {
		return 0, fmt.Errorf("artifacts of %d bytes from %d bytes of lines", size, len(out))
	}
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	_, err = f.Write(out[:size])
	err = errors.Join(err, f.Sync(), f.Close())
	return time.Since(begun), errors.Join(err, os.Remove(path))
}
