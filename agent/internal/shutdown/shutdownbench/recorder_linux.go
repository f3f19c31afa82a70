package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/recorder"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
)

// recorded is what the flight record says of a time; internal/bench/shutdown reads it.
type recorded struct {
	Starts int64  `json:"starts"` // programs that were started
	Lost   uint64 `json:"lost"`   // events that are known to be missing
}

// keepRecord switches a flight recorder on and off as it is told, and answers each line when
// that is done: with what was recorded for "off".
func keepRecord(ctx context.Context, dir string, in io.Reader, log *slog.Logger) error {
	var off func() (recorded, error)
	orders := bufio.NewScanner(in)
	for n := 0; orders.Scan(); n++ {
		var done recorded
		var err error
		switch {
		case orders.Text() == "on" && off == nil:
			off, err = recordInto(ctx, filepath.Join(dir, fmt.Sprintf("ring-%d", n)), log)
		case orders.Text() == "off" && off != nil:
			done, err = off()
			off = nil
		default:
			err = fmt.Errorf("%.20q is not to be done now", orders.Text())
		}
		if err == nil {
			err = say(done)
		}
		if err != nil {
			return err
		}
	}
	return orders.Err()
}

// recordInto returns when everything that runs is on record.
func recordInto(ctx context.Context, dir string, log *slog.Logger) (off func() (recorded, error), err error) {
	rg, _, err := ring.Open(ring.Config{Dir: dir, BootID: acquire.ThisHost().BootID, Log: log})
	if err != nil {
		return nil, err
	}
	rec, err := recorder.New(recorder.Config{Ring: rg, Clock: acquire.SystemClock, Log: log})
	if err != nil {
		return nil, errors.Join(err, rg.Close())
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- rec.Run(running) }()
	off = func() (done recorded, err error) {
		err = calm(running, rec, rg)
		cancel()
		err = errors.Join(err, <-ended)
		if err == nil {
			done, err = account(ctx, rg)
		}
		return done, errors.Join(err, rg.Close())
	}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		beating, err := has(ctx, rg, entry.Heartbeat)
		if beating {
			return off, nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			err = ctx.Err()
		case err = <-ended:
			ended <- nil
			err = errors.Join(errors.New("the recorder ended"), err)
		}
		if err != nil {
			_, oerr := off()
			return nil, errors.Join(err, oerr)
		}
	}
}

// calm returns when nothing new goes on record: what the kernel told last may wait to be
// read yet.
func calm(ctx context.Context, rec *recorder.Recorder, rg *ring.Ring) error {
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for before := int64(-1); ; {
		if err := rec.Flush(); err != nil {
			return err
		}
		now, err := account(ctx, rg)
		if err != nil {
			return err
		}
		if now.Starts <= before+calmStarts && before >= 0 {
			return nil
		}
		before = now.Starts
		select {
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// calmStarts is how many programs others may start between two looks of calm.
const calmStarts = 20

// events calls f with everything that is on record until it returns false.
func events(ctx context.Context, rg *ring.Ring, f func(entry.Event) bool) error {
	for e, err := range rg.Read(ctx, ring.ReadFrom{}) {
		if err != nil {
			return err
		}
		if e.Kind == ring.KindGap {
			return fmt.Errorf("the ring lost something: %s", e.Payload)
		}
		for v, err := range entry.Events(e.Payload, e.At.BootNS) {
			if err != nil {
				return err
			}
			if !f(v) {
				return nil
			}
		}
	}
	return nil
}

func has(ctx context.Context, rg *ring.Ring, t entry.Type) (found bool, err error) {
	err = events(ctx, rg, func(e entry.Event) bool { found = e.Type == t; return !found })
	return found, err
}

func account(ctx context.Context, rg *ring.Ring) (done recorded, err error) {
	err = events(ctx, rg, func(e entry.Event) bool {
		switch {
		case e.Type == entry.Gap && e.Source == entry.SourceConnector:
			done.Lost += e.Lost
		case e.Type == entry.ProcessStarted && e.How == entry.HowExec:
			done.Starts++
		}
		return true
	})
	return done, err
}
