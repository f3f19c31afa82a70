package acquire

import (
	"context"
	"errors"
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

// lane lets one acquisition at a time read the endpoint, and urgent ones first.
type lane struct {
	probing chan struct{} // holds one token

	mu      sync.Mutex
	running context.CancelCauseFunc // of the ordinary acquisition that has the token
	urgent  int                     // urgent acquisitions that wait or run
	calm    chan struct{}           // closed when urgent comes down to 0
}

func newLane() lane { return lane{probing: make(chan struct{}, 1)} }

// enter waits for the lane. stopped says that the probes are through and others may
// begin theirs; leave, that the acquisition is over. Both may be called more than once.
func (l *lane) enter(ctx context.Context, o Order) (inside context.Context, stopped, leave func(), err error) {
	if o.Urgent {
		return l.urgently(ctx)
	}
	for {
		select {
		case l.probing <- struct{}{}:
		case <-ctx.Done():
			return nil, nil, nil, ctx.Err()
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
			return nil, nil, nil, ctx.Err()
		}
	}
	inside, cancel := context.WithCancelCause(ctx)
	l.running = cancel
	l.mu.Unlock()
	stopped = sync.OnceFunc(func() {
		l.mu.Lock()
		l.running = nil
		l.mu.Unlock()
		<-l.probing
	})
	return inside, stopped, func() { stopped(); cancel(nil) }, nil
}

func (l *lane) urgently(ctx context.Context) (inside context.Context, stopped, leave func(), err error) {
	l.mu.Lock()
	if l.urgent++; l.urgent == 1 {
		l.calm = make(chan struct{})
	}
	if l.running != nil {
		l.running(errPreempted)
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
	return ctx, func() {}, sync.OnceFunc(func() {
		if mine {
			<-l.probing
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.urgent--; l.urgent == 0 {
			close(l.calm)
		}
	}), nil
}
