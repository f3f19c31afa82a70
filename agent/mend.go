package main

import (
	"context"
	"log/slog"
	"time"
)

// The wait between two attempts to seal, which doubles.
const (
	minSealWait = time.Second
	maxSealWait = time.Minute
)

// sealSoon has what an acquisition left sealed that failed, and says so in the status until it is.
func (a *agent) sealSoon() {
	a.unsealed.Store(true)
	poke(a.mend)
}

// sealLater seals what an acquisition left behind that failed in the middle, such as
// on a full disk. It tries until it succeeds; while nothing failed it sleeps.
func (a *agent) sealLater(ctx context.Context) error {
	var wait time.Duration
	var tick <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.mend:
			wait = minSealWait
		case <-tick:
			wait = min(2*wait, maxSealWait)
		}
		n, err := a.runner.Recover(ctx, a.spool)
		if n > 0 {
			a.set.log.InfoContext(ctx, "sealed what a failed acquisition left", slog.Int("acquisitions", n))
		}
		tick = nil
		a.unsealed.Store(err != nil)
		if err != nil && ctx.Err() == nil {
			a.set.log.WarnContext(ctx, "what a failed acquisition left is not sealed yet", slog.Any("error", err), slog.Duration("retry_in", wait))
			tick = time.After(wait)
		}
	}
}
