package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/flight"
	"hozen/agent/internal/recorder"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
)

// The names of marks in the flight record.
const (
	markStarted   = "agent_started"
	markShutdown  = "shutdown"
	markCancelled = "shutdown_cancelled"
	markSuspend   = "suspend"
	markResume    = "resume"
)

// recording is the flight recorder of this agent. Without one, its methods do nothing:
// a PC whose disk is full must be able to be isolated all the same.
type recording struct {
	ring     *ring.Ring
	recorder *recorder.Recorder
	found    ring.Recovery
	window   time.Duration
	log      *slog.Logger
}

// newRecording opens the record in the state folder.
func newRecording(set settings, bootID string) (*recording, error) {
	c := set.config.Recorder
	r := &recording{window: c.Window.Duration, log: set.log}
	if !c.Enabled {
		return r, nil
	}
	rg, found, err := ring.Open(ring.Config{
		Dir: filepath.Join(set.state, "recorder"), MaxBytes: c.MaxBytes, BootID: bootID, MinFree: uint64(set.config.Spool.MinFreeBytes), Log: set.log,
	})
	if err != nil {
		return r, err
	}
	rec, err := recorder.New(recorder.Config{Ring: rg, Clock: acquire.SystemClock, Every: c.Every.Duration, Log: set.log})
	if err != nil {
		return r, errors.Join(err, rg.Close())
	}
	r.ring, r.recorder, r.found = rg, rec, found
	return r, nil
}

// run records until ctx ends. That nothing can be recorded ends no agent.
func (r *recording) run(ctx context.Context) error {
	if r == nil || r.recorder == nil {
		return nil
	}
	r.recorder.Mark(markStarted, nil)
	if err := r.recorder.Run(ctx); err != nil && ctx.Err() == nil {
		r.log.ErrorContext(ctx, "the flight recorder stopped", slog.Any("error", err))
	}
	return nil
}

func (r *recording) close() error {
	if r == nil || r.ring == nil {
		return nil
	}
	return r.ring.Close()
}

// mark puts something on record, and on disk soon.
func (r *recording) mark(name, detail string) {
	if r != nil && r.recorder != nil {
		r.recorder.Mark(name, []byte(detail))
	}
}

// flush puts everything on disk that was told so far.
func (r *recording) flush() error {
	if r == nil || r.recorder == nil {
		return nil
	}
	return r.recorder.Flush()
}

// What the flight record may take: before a cut little, for damage spreads meanwhile;
// of a boot that is over as much as a full ring of small entries on a slow disk needs.
const (
	hastyBudget  = time.Second
	flightBudget = 3 * time.Second
	pastBudget   = 10 * time.Second
)

// before is the probe of what happened in the minutes before now, as part of a plan;
// empty without a recorder.
func (r *recording) before(bootID string, budget time.Duration) []acquire.Planned {
	if r == nil || r.ring == nil {
		return nil
	}
	return []acquire.Planned{r.flight(bootID, budget, r.recorder.Flush)}
}

// past is the same of the end of an earlier boot.
func (r *recording) past(bootID string) []acquire.Planned {
	if r == nil || r.ring == nil || bootID == "" {
		return nil
	}
	return []acquire.Planned{r.flight(bootID, pastBudget, nil)}
}

func (r *recording) flight(bootID string, budget time.Duration, prepare func() error) acquire.Planned {
	return acquire.Planned{Budget: budget, New: func() probe.Probe {
		return flight.New(flight.Config{Read: r.ring.Read, BootID: bootID, Last: r.window, Prepare: prepare})
	}}
}

// markedShutdown reports whether the newest word of a boot about going down is that it
// does.
func (r *recording) markedShutdown(ctx context.Context, bootID string) bool {
	down := false
	for e, err := range r.ring.Read(ctx, ring.ReadFrom{BootID: bootID}) {
		if err != nil || e.Kind != entry.KindMark {
			continue // what is damaged is told by the probe
		}
		for v, err := range entry.Events(e.Payload, e.At.BootNS) {
			if err != nil || v.Type != entry.Mark {
				continue
			}
			switch v.Name {
			case markShutdown:
				down = true
			case markCancelled, markStarted:
				down = false
			}
		}
	}
	return down
}
