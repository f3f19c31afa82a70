package act

import (
	"context"
	"fmt"
	"sync"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/sqldb"
)

// askTime bounds a query for many endpoints, all of which wait for it.
const askTime = 10 * time.Second

// asks answers one question about many endpoints, as a thousand streams ask it that are
// woken at once, with few queries: what is asked while one is under way is put into the
// next. Each answer is read after it was asked for. The zero value is ready.
type asks[T any] struct {
	mu    sync.Mutex
	next  *asked[T]          // what is read next; nil: nobody waits
	busy  bool               // somebody reads
	known map[string]left[T] // endpoint → what was committed just now
}

// left is an answer that a deed has left, for the one question that it causes.
type left[T any] struct {
	answer T
	until  time.Time
}

// knownTime is how long an answer waits for its question. Who is there asks at once.
const knownTime = 2 * time.Second

// remember leaves an answer for who asks next about an endpoint, which is what the
// database says as of the commit before. A deed that is not the last to wake the endpoint
// leaves none ([turns]), and any later one must [asks.forget] it.
func (a *asks[T]) remember(endpointID string, answer T) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		a.known = map[string]left[T]{}
	}
	a.known[endpointID] = left[T]{answer: answer, until: time.Now().Add(knownTime)}
}

// forget drops what [asks.remember] left.
func (a *asks[T]) forget(endpointIDs []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) == 0 {
		return
	}
	for _, id := range endpointIDs {
		delete(a.known, id)
	}
}

// answers reads the answers for several endpoints; those without one are not in it.
type answers[T any] = func(ctx context.Context, q sqldb.Queryer, endpointIDs []string) (map[string]T, error)

// asking is what the streams of endpoints ask when they are woken, and what they report.
type asking struct {
	outstanding asks[[]dispatch.Command]
	openNumbers asks[string]
	reporting   reporting
	turns       turns
}

// turns tells which deed was the last to wake an endpoint, in the order of their
// transactions: what deeds do after their commit comes in any order. The zero value is
// ready.
type turns struct {
	mu   sync.Mutex
	n    uint64
	last map[string]uint64 // by endpoint
}

// take makes a deed the last one for endpoints. It must be called within its transaction.
func (t *turns) take(endpointIDs []string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	if t.last == nil {
		t.last = map[string]uint64{}
	}
	for _, id := range endpointIDs {
		t.last[id] = t.n
	}
	return t.n
}

// has reports whether no later deed woke the endpoint.
func (t *turns) has(turn uint64, endpointID string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last[endpointID] == turn
}

// forget drops what was remembered of endpoints.
func (a *asking) forget(endpointIDs []string) {
	a.outstanding.forget(endpointIDs)
	a.openNumbers.forget(endpointIDs)
}

// asked is what one query answers.
type asked[T any] struct {
	ids     []string
	has     map[string]bool // those in ids, each once
	done    chan struct{}
	answers map[string]T
	err     error
}

// ask returns the answer for one endpoint, or the zero value. When the answers for many
// cannot be read, each is read on its own: what is wrong with one is nobody else's.
func (a *asks[T]) ask(ctx context.Context, q sqldb.Queryer, read answers[T], endpointID string) (T, error) {
	var none T
	a.mu.Lock()
	if k, ok := a.known[endpointID]; ok {
		delete(a.known, endpointID)
		if time.Now().Before(k.until) {
			a.mu.Unlock()
			return k.answer, nil
		}
	}
	if a.next == nil {
		a.next = &asked[T]{has: map[string]bool{}, done: make(chan struct{})}
	}
	mine := a.next
	if !mine.has[endpointID] {
		mine.has[endpointID] = true
		mine.ids = append(mine.ids, endpointID)
	}
	if !a.busy {
		a.busy = true
		go a.answer(context.WithoutCancel(ctx), q, read)
	}
	a.mu.Unlock()
	select {
	case <-mine.done:
		if mine.err == nil {
			return mine.answers[endpointID], nil
		}
		if len(mine.ids) == 1 {
			return none, mine.err
		}
		own, err := safely(ctx, q, read, []string{endpointID})
		return own[endpointID], err
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
		func() {
			ctx, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			now.answers, now.err = safely(ctx, q, read, now.ids)
		}()
		close(now.done)
	}
}

// safely reads and makes an error of a panic, which in a goroutine of its own would end the
// collector.
func safely[T any](ctx context.Context, q sqldb.Queryer, read answers[T], endpointIDs []string) (found map[string]T, err error) {
	defer func() {
		if p := recover(); p != nil {
			found, err = nil, fmt.Errorf("read answers for endpoints: %v", p)
		}
	}()
	return read(ctx, q, endpointIDs)
}
