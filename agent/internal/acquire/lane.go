package acquire

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// preemptWait is how long an urgent acquisition waits for the probes of the one before
	// it to stop. Then both run: evidence of what is about to end counts more than order.
	preemptWait = 60 * time.Millisecond
	// preemptGrace is how long a probe may take to stop for an urgent acquisition.
	preemptGrace = 30 * time.Millisecond
)

var errPreempted = errors.New("a more urgent acquisition came")

// lane lets one acquisition at a time read the endpoint, and urgent ones first. One that
// takes long steps aside, and others read beside it.
type lane struct {
	probing chan struct{} // holds one token

	mu      sync.Mutex
	running []*place      // ordinary acquisitions whose probes run
	urgent  int           // urgent acquisitions that wait or run
	calm    chan struct{} // closed when urgent comes down to 0
}

func newLane() lane { return lane{probing: make(chan struct{}, 1)} }

// place is what an acquisition has of the lane. Each function may be called more than once.
type place struct {
	stopped func() // the probes are through, and others may begin theirs
	aside   func() // others may begin theirs beside what goes on here
	leave   func() // the acquisition is over
	cancel  context.CancelCauseFunc
}

// enter waits for the lane.
func (l *lane) enter(ctx context.Context, o Order) (inside context.Context, p *place, err error) {
	if o.Urgent {
		inside, p = l.urgently(ctx)
		return inside, p, nil
	}
	for {
		select {
		case l.probing <- struct{}{}:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		l.mu.Lock()
		if l.urgent == 0 {
			break
		}
		calm := l.calm
		l.mu.Unlock()
		<-l.probing
		select {
		case <-calm:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	p = &place{}
	inside, p.cancel = context.WithCancelCause(ctx)
	l.running = append(l.running, p)
	l.mu.Unlock()
	p.aside = sync.OnceFunc(func() { <-l.probing })
	p.stopped = sync.OnceFunc(func() {
		l.mu.Lock()
		l.running = slices.DeleteFunc(l.running, func(o *place) bool { return o == p })
		l.mu.Unlock()
		p.aside()
	})
	p.leave = func() { p.stopped(); p.cancel(nil) }
	return inside, p, nil
}

func (l *lane) urgently(ctx context.Context) (inside context.Context, p *place) {
	l.mu.Lock()
	if l.urgent++; l.urgent == 1 {
		l.calm = make(chan struct{})
	}
	for _, p := range l.running {
		p.cancel(errPreempted)
	}
	l.mu.Unlock()
	mine := false
	late := time.NewTimer(preemptWait)
	defer late.Stop()
	select {
	case l.probing <- struct{}{}:
		mine = true
	case <-late.C:
	case <-ctx.Done(): // it is sealed as interrupted
	}
	p = &place{stopped: func() {}, aside: func() {}}
	p.leave = sync.OnceFunc(func() {
		if mine {
			<-l.probing
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.urgent--; l.urgent == 0 {
			close(l.calm)
		}
	})
	return ctx, p
}
