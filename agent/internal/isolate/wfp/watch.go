package wfp

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"hozen/agent/internal/isolate"
)

const (
	// soon is how long after a change more of them are waited for, so that a series is told
	// together.
	soon = 40 * time.Millisecond
	// justNow is how long what this process changed may take to be told back to it.
	justNow = 5 * time.Second
	// told is how many changes an event names.
	told = 8
)

// subscriber takes what the engine tells. The engine calls it on a thread of its own and
// waits, so it never blocks and takes no lock.
type subscriber struct {
	began chan struct{}
	out   chan change
	lost  atomic.Bool
}

func newSubscriber() *subscriber {
	return &subscriber{began: make(chan struct{}), out: make(chan change, 256)}
}

func (s *subscriber) tell(c change) {
	select {
	case s.out <- c:
	default:
		s.lost.Store(true)
	}
}

// did remembers what this process changes.
func (f *Firewall) did(c change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for k, at := range f.mine {
		if now.Sub(at) > justNow {
			delete(f.mine, k)
		}
	}
	f.mine[c] = now
}

func (f *Firewall) isMine(c change) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.mine[c]
	return ok && time.Since(at) <= justNow
}

// Watch implements [isolate.Watcher] by FwpmFilterSubscribeChanges0. Every filter that
// anybody adds or removes is a reason to measure; the engine says neither who it was nor
// promises to tell, so the look every few seconds goes on besides.
func (f *Firewall) Watch(ctx context.Context) (<-chan isolate.Event, error) {
	ctx, stop := context.WithCancel(ctx)
	s, ended := newSubscriber(), make(chan error, 1)
	go func() { ended <- f.engine.Subscribe(ctx, s) }()
	select {
	case <-s.began:
	case err := <-ended:
		stop()
		if err == nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("watch filters: %w", err)
	}
	out := make(chan isolate.Event)
	go func() {
		defer close(out)
		defer stop()
		f.relay(ctx, s, ended, out)
	}()
	return out, nil
}

// relay turns changes into events, until ctx ends or the engine is gone.
func (f *Firewall) relay(ctx context.Context, s *subscriber, ended <-chan error, out chan<- isolate.Event) {
	waiting := &isolate.Event{At: time.Now().UTC()} // watching has begun
	var due <-chan time.Time
	for {
		send := out
		if waiting == nil || due != nil {
			send = nil
		}
		var e isolate.Event
		if waiting != nil {
			e = *waiting
		}
		select {
		case <-ctx.Done():
			<-ended
			return
		case <-ended:
			return
		case c := <-s.out:
			if waiting == nil {
				waiting = &isolate.Event{At: time.Now().UTC()}
				due = time.After(soon)
			}
			f.note(waiting, c)
			waiting.Lost = s.lost.Swap(false) || waiting.Lost
		case <-due:
			due = nil
		case send <- e:
			waiting = nil
		}
	}
}

// note adds a change to an event. One of a filter that is none of ours is a reason to
// measure and no more.
func (f *Firewall) note(e *isolate.Event, c change) {
	if f.isMine(c) {
		return
	}
	f.mu.Lock()
	name, ours := f.names[c.key]
	f.mu.Unlock()
	if !ours {
		return
	}
	e.Rules = true
	if len(e.What) < told {
		e.What = append(e.What, fmt.Sprintf("filter %q (%s) was %s", name, c.key, map[bool]string{true: "removed", false: "added"}[c.removed]))
	}
}
