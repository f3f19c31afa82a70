package trial

import (
	"context"
	"time"
)

// home starts WayHome, unless ctx has ended; the result comes within HomeLimit. Nil
// without WayHome.
func (p *Prober) home(ctx context.Context) <-chan result {
	if p.cfg.WayHome == nil {
		return nil
	}
	out := make(chan result, 1)
	if ctx.Err() != nil {
		out <- result{}
		return out
	}
	ctx, stop := context.WithTimeout(ctx, within(ctx, p.cfg.HomeLimit))
	did := make(chan error, 1)
	go func() { did <- p.cfg.WayHome(ctx) }()
	go func() {
		defer stop()
		select {
		case err := <-did:
			out <- result{back: err == nil}
		case <-ctx.Done(): // even if WayHome does not notice
			out <- result{}
		}
	}()
	return out
}

// reserve is left of a caller's time to return what was found.
const reserve = 50 * time.Millisecond

// within is d, or what is left until ctx ends.
func within(ctx context.Context, d time.Duration) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(end)-reserve)
	}
	return max(0, d)
}
