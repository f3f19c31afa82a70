package recorder

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/procevent"
	"hozen/agent/internal/recorder/state"
)

// What shows on the clocks between two heartbeats.
const (
	stepWorth  = 100 * time.Millisecond // a clock that is slewed moves 5 ms in 10 s
	sleepWorth = time.Second
)

// endPatience is how long the end waits for the sources.
const endPatience = 2 * time.Second

// mostHeavy bounds how rare sweeps become: five minutes with the usual interval.
const mostHeavy = 30

// The texts of gaps.
const (
	gapNoEvents  = "the kernel does not tell starts and ends of processes here; they are looked at every %v instead, and what lives shorter is not on record: %v"
	gapNoSockets = "connections are not watched: %v"
	gapUnwatched = "connections are not watched"
	gapBroke     = "the source broke: %v"
	gapHangs     = "a source did not end within %v: what waited there when the recorder ended is not on record"
)

// Run records until ctx ends; everything is on disk when it returns. The error is that
// of the last write, or why nothing can be recorded at all. It may be called once.
func (r *Recorder) Run(ctx context.Context) error {
	var err error
	if r.reader, err = procevent.NewGuard(r.cfg.Sources.Processes); err != nil {
		return fmt.Errorf("start flight recorder: %w", err)
	}
	defer r.reader.Close()
	if r.execs, err = procevent.NewGuard(r.cfg.Sources.Processes); err != nil {
		return fmt.Errorf("start flight recorder: %w", err)
	}

	var work, writing sync.WaitGroup
	own, stop := context.WithCancel(ctx)
	defer stop()
	// It writes until the sources have told the last they know.
	written, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWriting()
	writing.Go(func() { r.writer(written) })
	events := r.openEvents()
	r.openAllSockets(own, &work)
	r.marked = clocks{r.cfg.Clock(), time.Now()}
	if err := r.snapshot(true); err != nil {
		stop()
		work.Wait()
		r.execs.Close()
		stopWriting()
		writing.Wait()
		return fmt.Errorf("start flight recorder: %w", err)
	}
	broke := make(chan error, 1)
	listen := func(s Source) {
		work.Go(func() {
			err := s.Run(own, r.emit)
			err = errors.Join(err, s.Close())
			if own.Err() == nil {
				broke <- err
			}
		})
	}
	if events != nil {
		listen(events)
	}
	r.interval()

	tick := time.NewTicker(r.cfg.Every)
	defer tick.Stop()
	poll := time.NewTicker(r.cfg.PollEvery)
	defer poll.Stop()
	if r.told {
		poll.Stop()
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			if r.reopen.IsZero() || time.Now().Before(r.reopen) {
				r.interval()
				continue
			}
			if events = r.openEvents(); events != nil {
				poll.Stop()
				r.forget()
				if err := r.snapshot(true); err != nil {
					r.lost(entry.SourceProcFS, err.Error())
				}
				listen(events)
			}
			r.interval()
		case <-poll.C:
			r.sweep(false)
		case err := <-broke:
			r.lost(entry.SourceConnector, fmt.Sprintf(gapBroke, err))
			r.told, r.reopen = false, time.Now().Add(reopenAfter)
			poll.Reset(r.cfg.PollEvery)
		}
	}
	stop()
	ended := make(chan struct{})
	go func() { work.Wait(); close(ended) }()
	select {
	case <-ended:
		r.execs.Close()
	case <-time.After(endPatience): // one hangs in the system; what it told is on record
		r.lost(entry.SourceRecorder, fmt.Sprintf(gapHangs, endPatience))
	}
	stopWriting()
	r.heartbeat(r.cfg.Clock())
	return r.Flush()
}

// openEvents subscribes to starts and ends, or says on record why not.
func (r *Recorder) openEvents() Source {
	s, err := r.cfg.Sources.Events(r.budget)
	r.told, r.reopen = err == nil, time.Time{}
	if err == nil {
		return s
	}
	r.lost(entry.SourceConnector, fmt.Sprintf(gapNoEvents, r.cfg.PollEvery, err))
	if !errors.Is(err, errors.ErrUnsupported) {
		r.reopen = time.Now().Add(reopenAfter)
	}
	return nil
}

func (r *Recorder) openAllSockets(ctx context.Context, work *sync.WaitGroup) {
	s, err := r.cfg.Sources.Sockets(r.budget)
	if err != nil {
		r.lost(entry.SourceSockDiag, fmt.Sprintf(gapNoSockets, err))
		return
	}
	r.mu.Lock()
	r.sockets = s
	r.mu.Unlock()
	work.Go(func() {
		err := s.Run(ctx, r.emit)
		if ctx.Err() == nil {
			r.lost(entry.SourceSockDiag, fmt.Sprintf(gapBroke, err))
			r.mu.Lock()
			r.sockets = nil
			r.mu.Unlock()
		}
		s.Close()
	})
}

// lost puts a gap on record.
func (r *Recorder) lost(source entry.Source, detail string) {
	r.emit(entry.NewGap(source, 0, 0, detail))
}

// forget drops what was known of processes, before all are listed again.
func (r *Recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.table = table{procs: make(state.Processes)}
}

// interval does what is to be done in each.
func (r *Recorder) interval() {
	r.clockMarks()
	begun := time.Now()
	if r.ticks%r.heavy == 0 {
		r.sweep(true)
		r.mu.Lock()
		doubt, much := r.doubt, r.listed >= listAfter
		r.mu.Unlock()
		listing := time.Now()
		switch {
		case doubt || r.ticks > 0 && r.ticks%r.cfg.FullEvery < r.heavy:
			if err := r.snapshot(false); err != nil {
				r.lost(entry.SourceProcFS, err.Error())
			}
			r.budget.Spend(time.Since(listing))
		case much:
			r.list(nil, false)
			r.budget.Spend(time.Since(listing))
		}
	}
	r.throttle(time.Since(begun))
	r.ticks++
	r.mu.Lock()
	r.texts = 0
	r.mu.Unlock()
	r.heartbeat(r.cfg.Clock())
	r.wantFlush()
}

// sweep compares the table with /proc.
func (r *Recorder) sweep(thorough bool) {
	begun := time.Now()
	var err error
	if r.told {
		err = r.sweepTold()
	} else if thorough || r.budget.Allow() {
		err = r.sweepUntold(thorough)
	}
	r.budget.Spend(time.Since(begun))
	if err != nil {
		r.lost(entry.SourceProcFS, err.Error())
	}
}

// throttle makes sweeps rarer when one took more than the recorder's share of the time
// until the next, and says so on record. Heartbeats stay as they are.
func (r *Recorder) throttle(took time.Duration) {
	want := min(max(int(took*share/r.cfg.Every), 1), mostHeavy)
	switch {
	case r.ticks%r.heavy != 0, want == r.heavy:
		return
	case want < r.heavy && want*2 > r.heavy:
		return // not for a little
	}
	r.heavy = want
	r.emit(&entry.Event{Type: entry.Throttled, Source: entry.SourceRecorder, UID: -1, EUID: -1, IntervalNS: int64(want) * int64(r.cfg.Every)})
}

// clockMarks says on record when somebody set the clock and when the PC slept.
func (r *Recorder) clockMarks() {
	now := clocks{r.cfg.Clock(), time.Now()}
	boot := time.Duration(now.at.BootNS - r.marked.at.BootNS)
	step := now.at.Wall.Round(0).Sub(r.marked.at.Wall.Round(0)) - boot
	slept := boot - now.mono.Sub(r.marked.mono)
	if r.marked.at.BootNS != 0 && step.Abs() >= stepWorth {
		r.emit(&entry.Event{Type: entry.ClockStep, Source: entry.SourceRecorder, UID: -1, EUID: -1, StepNS: int64(step)})
	}
	if slept >= sleepWorth {
		r.emit(&entry.Event{Type: entry.Slept, Source: entry.SourceRecorder, UID: -1, EUID: -1, StepNS: int64(slept)})
	}
	r.marked = now
}

// writer writes when asked or when the ring's buffer fills, so that nobody else waits
// for the disk.
func (r *Recorder) writer(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.flush:
		case <-r.cfg.Ring.Wake():
		}
		err := r.Flush()
		r.mu.Lock()
		if err != nil {
			r.trouble("flight record is not on disk", err)
		} else {
			r.lastErr = ""
		}
		r.mu.Unlock()
	}
}
