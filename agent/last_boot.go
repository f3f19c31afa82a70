package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/bootverdict"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/boot"
	"hozen/agent/internal/recorder/ring"
	"hozen/agent/internal/shutdown"
	"hozen/internal/artifact"
)

// powerFolder is where the agent keeps what it knows of going down.
func powerFolder(state string) string { return filepath.Join(state, "power") }

// bootBudget is for a journal of some gigabytes on a slow disk.
const bootBudget = 5 * time.Second

var errNotJudged = errors.New("the acquisition of the verdict broke off")

// lastBoot judges once and then has nothing left to do.
func (a *agent) lastBoot(ctx context.Context) error {
	if err := a.judgeLastBoots(ctx); err != nil && ctx.Err() == nil {
		a.set.log.ErrorContext(ctx, "how earlier boots ended is not on record", slog.Any("error", err))
	}
	return nil
}

// judgeLastBoots takes the evidence of how every boot ended of which there is none yet,
// oldest first: the verdict and what the flight recorder holds of its last minutes. How
// far it came is remembered after each, so that a PC that does not stay up for long
// comes to the end of them all the same. The notes go when they are all evidence.
func (a *agent) judgeLastBoots(ctx context.Context) error {
	dir := powerFolder(a.set.state)
	memory, err := bootverdict.Load(dir)
	if err != nil {
		a.set.log.WarnContext(ctx, "what is remembered of the last boot is lost", slog.Any("error", err))
	}
	if memory.BootID != "" && memory.BootID == a.bootID {
		return nil // done by an earlier run of this boot
	}
	notes, err := shutdown.Kept(dir)
	if err != nil {
		a.set.log.WarnContext(ctx, "not all that was noted of shutdowns can be read", slog.Any("error", err))
	}
	past := pastBoots(memory, a.recording.found.Boots, notes, a.bootID)
	for i, b := range past {
		next := pastBoot{id: a.bootID}
		if i+1 < len(past) {
			next = past[i+1]
		}
		if err := a.judge(ctx, b, next, memory); err != nil {
			return err // the next start judges again
		}
		memory = bootverdict.Memory{BootID: next.id, SeenAt: artifact.Instant{Wall: next.first}}
		if next.id == a.bootID {
			memory.SeenAt = acquire.SystemClock()
		}
		a.remember(ctx, dir, memory)
	}
	if len(past) == 0 { // this is the agent's first boot, and there is nothing to tell
		a.remember(ctx, dir, bootverdict.Memory{BootID: a.bootID, SeenAt: acquire.SystemClock()})
	}
	for _, n := range notes {
		if n.BootID == a.bootID {
			continue
		}
		if err := shutdown.Forget(dir, n.BootID); err != nil {
			a.set.log.WarnContext(ctx, "a note of an earlier shutdown stays", slog.Any("error", err))
		}
	}
	return nil
}

func (a *agent) remember(ctx context.Context, dir string, m bootverdict.Memory) {
	if err := bootverdict.Remember(dir, m); err != nil {
		a.set.log.WarnContext(ctx, "how far boots are judged is not remembered", slog.Any("error", err))
	}
}

// pastBoot is a boot in which the agent ran.
type pastBoot struct {
	id    string
	first time.Time        // the earliest trace of it that the agent kept
	last  artifact.Instant // the newest entry of the flight record; zero where that has none
	note  *bootverdict.Shutdown
}

// pastBoots lists the boots whose end is not evidence yet, oldest first: from the one that
// is remembered on, which is the first that was not judged. What the flight record and
// the notes hold from before it was judged already.
func pastBoots(memory bootverdict.Memory, recorded []ring.Boot, notes []shutdown.Last, current string) (list []pastBoot) {
	for _, r := range recorded {
		if id := r.Last.BootID; id != current && id != "" {
			list = append(list, pastBoot{id: id, first: r.First, last: r.Last.At})
		}
	}
	index := func(id string) int { return slices.IndexFunc(list, func(b pastBoot) bool { return b.id == id }) }
	insert := func(b pastBoot) {
		at := slices.IndexFunc(list, func(o pastBoot) bool { return o.first.After(b.first) })
		if at < 0 {
			at = len(list)
		}
		list = slices.Insert(list, at, b)
	}
	for _, n := range notes {
		if n.BootID == current || n.BootID == "" {
			continue
		}
		if index(n.BootID) < 0 { // the recorder was off, or has written over it
			insert(pastBoot{id: n.BootID, first: n.First()})
		}
		list[index(n.BootID)].note = noted(n)
	}
	if memory.BootID == "" { // lost, or never there: then the newest is all that is safe to call new
		return list[max(0, len(list)-1):]
	}
	if index(memory.BootID) < 0 {
		insert(pastBoot{id: memory.BootID, first: memory.SeenAt.Wall})
	}
	return list[index(memory.BootID):]
}

// judge makes evidence of how b ended, after which next began.
func (a *agent) judge(ctx context.Context, b, next pastBoot, memory bootverdict.Memory) error {
	var recorder *bootverdict.Recorder
	if !b.last.Wall.IsZero() {
		recorder = &bootverdict.Recorder{LastAt: b.last, BootID: b.id, ShutdownMark: a.recording.markedShutdown(ctx, b.id)}
	}
	verdict := func() probe.Probe {
		return boot.New(bootverdict.Config{Memory: memory, Recorder: recorder, Shutdown: b.note})
	}
	if next.id != a.bootID {
		verdict = func() probe.Probe {
			return boot.Earlier(bootverdict.Input{BootID: next.id, Began: next.first, Memory: memory, Recorder: recorder, Shutdown: b.note})
		}
	}
	res, err := a.acquire(ctx, acquire.Order{
		Trigger: artifact.TriggerBoot, Profile: profileBoot,
		Extra: append(a.recording.past(b.id), acquire.Planned{Budget: bootBudget, New: verdict}),
	})
	if err != nil {
		return err
	}
	if o := res.Manifest.Outcome; o == artifact.Interrupted || o == artifact.Failed {
		return errNotJudged
	}
	return nil
}
