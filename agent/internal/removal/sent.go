package removal

import (
	"context"
	"time"
)

// Unsent is how much waits for the collector.
type Unsent struct {
	Connected bool
	Items     int
}

const (
	// sendLimit bounds how long an uninstallation is held up.
	sendLimit = time.Minute
	// connectLimit is how long a collector that is not connected is waited for.
	connectLimit = 5 * time.Second
	askEvery     = 250 * time.Millisecond
)

// AwaitSent waits until nothing waits for the collector any more, and returns what does when
// it gave up: after a minute, or after five seconds without a connection. An error is that of
// ask.
func AwaitSent(ctx context.Context, ask func(context.Context) (Unsent, error)) (u Unsent, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	look := time.NewTicker(askEvery)
	defer look.Stop()
	alone := time.Now()
	for {
		if u, err = ask(ctx); err != nil || u.Items == 0 {
			return u, err
		}
		if u.Connected {
			alone = time.Now()
		} else if time.Since(alone) >= connectLimit {
			return u, nil
		}
		select {
		case <-ctx.Done():
			return u, nil
		case <-look.C:
		}
	}
}
