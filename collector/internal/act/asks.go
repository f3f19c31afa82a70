package act

import (
	"context"
	"sync"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/sqldb"
)

// asks answers one question about many endpoints, as a thousand streams ask it that are
// woken at once, with few queries: what is asked while one is under way is put into the
// next. Each answer is read after it was asked for. The zero value is ready.
type asks[T any] struct {
	mu   sync.Mutex
	next *asked[T] // what is read next; nil: nobody waits
	busy bool      // somebody reads
}

// answers reads the answers for several endpoints; those without one are not in it.
type answers[T any] = func(ctx context.Context, q sqldb.Queryer, endpointIDs []string) (map[string]T, error)

// asking is what the streams of endpoints ask when they are woken, and what they report.
type asking struct {
	outstanding asks[[]dispatch.Command]
	openNumbers asks[string]
	reporting   reporting
}

// asked is what one query answers.
type asked[T any] struct {
	ids     []string
	done    chan struct{}
	answers map[string]T
	err     error
}

// ask returns the answer for one endpoint, or the zero value.
func (a *asks[T]) ask(ctx context.Context, q sqldb.Queryer, read answers[T], endpointID string) (T, error) {
	var none T
	a.mu.Lock()
	if a.next == nil {
		a.next = &asked[T]{done: make(chan struct{})}
	}
	mine := a.next
	mine.ids = append(mine.ids, endpointID)
	if !a.busy {
		a.busy = true
		go a.answer(context.WithoutCancel(ctx), q, read)
	}
	a.mu.Unlock()
	select {
	case <-mine.done:
		return mine.answers[endpointID], mine.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// answer reads until nobody waits.
func (a *asks[T]) answer(ctx context.Context, q sqldb.Queryer, read answers[T]) {
	for {
		a.mu.Lock()
		now := a.next
		a.next = nil
		a.busy = now != nil
		a.mu.Unlock()
		if now == nil {
			return
		}
		now.answers, now.err = read(ctx, q, now.ids)
		close(now.done)
	}
}
