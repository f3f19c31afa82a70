package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/crossview"
	"hozen/agent/internal/probe/deletedexe"
	"hozen/agent/internal/probe/exehash"
	"hozen/agent/internal/probe/filelock"
	"hozen/agent/internal/probe/namespace"
	"hozen/agent/internal/probe/netconn"
	"hozen/agent/internal/probe/openfile"
	"hozen/agent/internal/probe/procenv"
	"hozen/agent/internal/probe/process"
	"hozen/agent/internal/probe/procmap"
	"hozen/agent/internal/probe/procstate"
	"hozen/agent/internal/probe/scan"
)

const volatileBar = 1.5

// whole is one volatile capture up to its lines: what the limit reader reads too, and
// then the extras, which have no such limit: what processes may do, programs without a
// file, locks, namespaces, and the views that are compared.
type whole struct {
	out          [6]artifact
	more         [5]artifact
	core, extras time.Duration
}

func (v *whole) capture(ctx context.Context) error {
	pass := scan.New(scan.Options{Workers: workers})
	begun := time.Now()
	core := [...]probe.Probe{
		process.New(pass), netconn.New(pass), openfile.New(pass), procmap.New(pass), procenv.New(pass),
		exehash.New(pass, exehash.NewCache(0)), // which knows no digest yet
	}
	if err := acquireAll(ctx, core[:], v.out[:]); err != nil {
		return err
	}
	v.core = time.Since(begun)
	extras := [...]probe.Probe{procstate.New(pass), deletedexe.New(pass), filelock.New(pass), namespace.New(pass), crossview.New()}
	if err := acquireAll(ctx, extras[:], v.more[:]); err != nil {
		return err
	}
	v.extras = time.Since(begun) - v.core
	return nil
}

func acquireAll(ctx context.Context, probes []probe.Probe, out []artifact) error {
	for i, p := range probes {
		out[i].lines, out[i].count = out[i].lines[:0], 0
		if err := p.Acquire(ctx, &out[i]); err != nil {
			return fmt.Errorf("acquire %s: %w", p.Kind(), err)
		}
	}
	return nil
}

// volatile prints the figures of the volatile profile in the big scene. The agent reads
// all but processes and sockets with lowered priority; here it has the priority of the
// limit reader, so that others on the machine slow both down alike.
func volatile(quick bool) error {
	rounds := 21
	if quick {
		rounds = 5
	}
	var v whole
	read := newLimit(workers, false)
	read.volatile = true
	var limits, cores, extras []time.Duration
	var ratios []float64
	for i := range rounds + 2 {
		var limit time.Duration
		for k := range 2 {
			runtime.GC()
			from := time.Now()
			if (k+i)%2 == 0 {
				read.read()
				limit = time.Since(from)
			} else if err := v.capture(context.Background()); err != nil {
				return err
			}
		}
		if i < 2 { // the first two rounds fill buffers and caches
			continue
		}
		limits, cores, extras = append(limits, limit), append(cores, v.core), append(extras, v.extras)
		ratios = append(ratios, float64(v.core)/float64(limit))
	}
	for i, want := range [...]int{0: sceneProcs, 3: sceneProcs, 4: sceneProcs, 5: sceneExes} {
		if v.out[i].count < want {
			return fmt.Errorf("capture has %d lines of its probe %d, want at least %d", v.out[i].count, i, want)
		}
	}
	slices.Sort(ratios)
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	return errors.Join(
		print("capture.volatile.1000p5000s", ratios[rounds/2], "ratio", fmt.Sprintf("<=%g", volatileBar)),
		print("capture.volatile.1000p5000s.ms", ms(median(cores)), "ms", ""),
		print("capture.volatile.limit.ms", ms(median(limits)), "ms", ""),
		print("capture.volatile.extras.ms", ms(median(extras)), "ms", ""),
	)
}
