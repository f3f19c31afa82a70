package isolate

import (
	"context"
	"fmt"
	"time"
)

// gate lets one call through at a time and never waits longer than it was told, even
// for a call that ignores its context. Such a call keeps the gate shut until it
// returns, so that it cannot act behind the back of a later one.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

// run calls fn with at most d to do it. Waiting for the gate counts.
func (g gate) run(ctx context.Context, d time.Duration, fn func(context.Context) error) error {
	ctx, stop := context.WithTimeout(ctx, d)
	select {
	case g <- struct{}{}:
	case <-ctx.Done():
		stop()
		return fmt.Errorf("wait for an earlier call that has not returned: %w", ctx.Err())
	}
	done := make(chan error, 1)
	go func() {
		defer stop()
		err := fn(ctx)
		<-g
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// An fn that heeds its context returns now; its own error says more. Others are
	// given a moment and then left behind.
	grace := time.NewTimer(graceTime)
	defer grace.Stop()
	select {
	case err := <-done:
		return err
	case <-grace.C:
		return fmt.Errorf("call did not return in time: %w", context.DeadlineExceeded)
	}
}

// graceTime is how long a call may take to notice that its context has ended.
const graceTime = 100 * time.Millisecond
