package main

import (
	"context"
	"log/slog"
	"time"

	"hozen/agent/internal/isolate"
)

// watchIsolation keeps an isolated PC isolated, ends what is to end by time, and tells
// when what is measured changed. While nothing is ordered it sleeps.
func (a *agent) watchIsolation(ctx context.Context) error {
	var tick <-chan time.Time
	last, events := isolate.State(""), a.isolate.Watch(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-events: // the kernel says that rules or devices changed
		case <-a.watch:
		case <-tick:
		}
		st, err := a.isolate.Reconcile(ctx)
		if ctx.Err() != nil {
			return nil
		}
		a.notices.follow(st)
		if err != nil {
			a.set.log.ErrorContext(ctx, "isolation is not as ordered", slog.Any("error", err))
		}
		if len(st.Drift) > 0 {
			a.set.log.WarnContext(ctx, "isolation was changed by somebody else and put right", slog.Any("differences", st.Drift), slog.Any("seen", st.Seen))
		}
		if len(st.Moved) > 0 {
			a.set.log.InfoContext(ctx, "another tunnel leads to the collector", slog.Any("changed", st.Moved))
		}
		if st.Observed != last || len(st.Drift)+len(st.Moved) > 0 {
			last = st.Observed
			a.uplink.IsolationChanged()
		}
		tick = nil
		if st.Desired != isolate.Released || st.Observed != isolate.Released && st.Capable {
			tick = time.After(nextLook(st, time.Now(), a.set.config.Isolation.CheckEvery.Duration))
		}
	}
}

const (
	// lateLook is how long after a set time is looked, so that it is over then.
	lateLook = 20 * time.Millisecond
	// soonLook is how often is looked for a while after it, because the manager also
	// counts by a clock that nobody sets, and the two need not agree to the millisecond.
	soonLook = time.Second
	// soonLooks is for how long.
	soonLooks = 10 * time.Second
)

// nextLook is how long to wait before the isolation is looked at again: as often as is
// set, and when something comes to its end.
func nextLook(st isolate.Status, now time.Time, every time.Duration) time.Duration {
	wait := every
	end := func(at time.Time) {
		switch left := at.Sub(now); {
		case at.IsZero() || left > wait:
		case left > 0:
			wait = left + lateLook
		case left > -soonLooks:
			wait = min(wait, soonLook)
		}
	}
	end(st.Until)
	if !st.LeaseLapsed {
		end(st.LeaseUntil)
	}
	for _, p := range st.Policy.Permits {
		end(p.ExpiresAt)
	}
	if c := st.Confirm; c != nil && c.At.IsZero() && c.Missed.IsZero() {
		end(c.By)
	}
	return wait
}
