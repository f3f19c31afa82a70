package main

import (
	"context"
	"log/slog"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/localapi"
)

// How long a drill at the PC cuts, and how long reaching the collector may take in it
// before it is rolled back; the same as of a drill that the collector orders.
const (
	drillTime    = time.Minute
	drillConfirm = 20 * time.Second
)

// Drill cuts the network for a minute, as an administrator wishes who stands at the PC. It
// replaces no isolation in earnest, and ends by itself: nobody has to reach the PC.
func (l localNetwork) Drill(ctx context.Context, by localapi.Peer) (localapi.NetworkStatus, error) {
	a := l.a
	defer a.proofs.hold()()
	pins, err := a.uplink.Pins(ctx)
	if err != nil {
		return l.Network(ctx), err
	}
	a.set.log.WarnContext(ctx, "the network is cut for a minute, as a drill", slog.String("by", by.String()))
	st, err := a.isolate.Isolate(ctx, isolate.Request{
		Policy: isolate.Policy{Mode: isolate.Standard, Collectors: pins, Mark: a.marks.mark()},
		Drill:  true, Until: time.Now().Add(drillTime), Within: drillConfirm, Else: isolate.RollBack,
	})
	a.orderedHere(st)
	return networkStatus(st, sourceAgent, time.Now()), err
}
