package agentapi

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errReplaced ends a control stream when the same endpoint opens another.
var errReplaced = errors.New("replaced by a newer connection of the same endpoint")

// sessions holds the one live control stream of each endpoint.
type sessions struct {
	mu   sync.Mutex
	live map[string]*session
}

type session struct {
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when its endpoint has been told gone
}

func newSessions() *sessions { return &sessions{live: map[string]*session{}} }

// claim makes the caller the endpoint's only stream: the older one is ended, and
// claim returns when that has said its last word, so that "gone" never comes after
// "there". leave must be called at the end.
func (s *sessions) claim(ctx context.Context, endpointID string, wait time.Duration) (_ context.Context, leave func(), err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	mine := &session{cancel: cancel, done: make(chan struct{})}
	s.mu.Lock()
	old := s.live[endpointID]
	s.live[endpointID] = mine
	s.mu.Unlock()
	leave = func() {
		s.mu.Lock()
		if s.live[endpointID] == mine {
			delete(s.live, endpointID)
		}
		s.mu.Unlock()
		cancel(nil)
		close(mine.done)
	}
	if old == nil {
		return ctx, leave, nil
	}
	old.cancel(errReplaced)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-old.done:
		return ctx, leave, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = errors.New("an older connection of the same endpoint does not end")
	}
	leave()
	return nil, nil, err
}
