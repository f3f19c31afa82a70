package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/bootverdict"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/boot"
	"hozen/internal/artifact"
)

// powerFolder is where the agent keeps what it knows of going down.
func powerFolder(state string) string { return filepath.Join(state, "power") }

// bootBudget is for a journal of some gigabytes on a slow disk.
const bootBudget = 5 * time.Second

// lastBoot judges once and then has nothing left to do.
func (a *agent) lastBoot(ctx context.Context) error {
	if err := a.judgeLastBoot(ctx); err != nil && ctx.Err() == nil {
		a.set.log.ErrorContext(ctx, "how the last boot ended is not on record", slog.Any("error", err))
	}
	return nil
}

// judgeLastBoot takes the evidence of how the boot before this one ended, once in a
// boot: the verdict and what the flight recorder holds of its last minutes.
func (a *agent) judgeLastBoot(ctx context.Context) error {
	dir := powerFolder(a.set.state)
	memory, err := bootverdict.Load(dir)
	if err != nil {
		a.set.log.WarnContext(ctx, "what is remembered of the last boot is lost", slog.Any("error", err))
	}
	if memory.BootID != "" && memory.BootID == a.bootID {
		return nil // done by an earlier run of this boot
	}
	c := bootverdict.Config{Memory: memory, Shutdown: a.power.noted()}
	previous := memory.BootID
	if last := a.recording.found.LastBefore; last.BootID != "" {
		c.Recorder = &bootverdict.Recorder{LastAt: last.At, BootID: last.BootID, ShutdownMark: a.recording.markedShutdown(ctx, last.BootID)}
		previous = last.BootID
	}
	if previous != "" { // else this is the agent's first boot, and there is nothing to tell
		planned := acquire.Planned{Budget: bootBudget, New: func() probe.Probe { return boot.New(c) }}
		res, err := a.acquire(ctx, acquire.Order{
			Trigger: artifact.TriggerBoot, Profile: profileBoot, Extra: append(a.recording.past(previous), planned),
		})
		if err != nil || res.Manifest.Outcome == artifact.Interrupted || res.Manifest.Outcome == artifact.Failed {
			return err // the next start judges again
		}
	}
	if err := bootverdict.Remember(dir, bootverdict.Memory{BootID: a.bootID, SeenAt: acquire.SystemClock()}); err != nil {
		a.set.log.WarnContext(ctx, "this boot is not remembered", slog.Any("error", err))
	}
	return nil
}
