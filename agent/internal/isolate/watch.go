package isolate

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Watcher is a Firewall that tells of changes as they happen.
type Watcher interface {
	// Watch tells what others change of our rules, and which network devices appear,
	// until ctx ends; then it closes the channel. What happens while nobody receives is
	// told together. The first event says nothing but that watching has begun: what
	// happened before it was not seen.
	Watch(ctx context.Context) (<-chan Event, error)
}

// Event is what a Watcher saw. It is a reason to measure, never a measurement.
type Event struct {
	// At is the agent's wall clock when the first of it was seen.
	At time.Time
	// What says in English what was seen, and of whom the kernel says that he did it: at
	// most a few lines.
	What []string
	// Others says in English which rules others hooked in beside ours, and who did.
	Others []string
	// Rules means that somebody changed our rules.
	Rules bool
	// Lost means that more happened than could be read.
	Lost bool
}

// watchAgain is how long is waited after watching failed. Reconcile goes on meanwhile.
const watchAgain = 10 * time.Second

// Watch tells when Reconcile should be called at once, until ctx ends; then it closes
// the channel. It watches only while isolation is ordered, so that an endpoint that is
// not isolated spends nothing on it. With a Firewall that is no Watcher nothing is ever
// told. What was seen stands in the Status of the Reconcile that finds drift.
func (m *Manager) Watch(ctx context.Context) <-chan Event {
	out := make(chan Event)
	go func() {
		defer close(out)
		w, ok := m.cfg.Firewall.(Watcher)
		for ctx.Err() == nil {
			desired, changed := m.ordered()
			if !ok || desired != Isolated {
				select {
				case <-ctx.Done():
				case <-changed:
				}
				continue
			}
			err := m.watch(ctx, w, changed, out)
			if err == nil || ctx.Err() != nil {
				continue
			}
			m.cfg.Log.WarnContext(ctx, "changes of the rules are noticed late", slog.Any("error", err))
			again := time.NewTimer(watchAgain)
			select {
			case <-ctx.Done():
			case <-changed:
			case <-again.C:
			}
			again.Stop()
		}
	}()
	return out
}

var errWatchEnded = errors.New("watching ended by itself")

// watch passes on what w tells until another order is given.
func (m *Manager) watch(ctx context.Context, w Watcher, changed <-chan struct{}, out chan<- Event) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	events, err := w.Watch(ctx)
	if err != nil {
		return err
	}
	for {
		select {
		case <-changed:
			return nil
		case e, ok := <-events:
			if !ok {
				return errWatchEnded
			}
			m.saw(e)
			select {
			case out <- e:
			case <-changed:
				return nil
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// ordered returns what is desired, and what closes when that changes.
func (m *Manager) ordered() (State, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rec.Desired, m.changed
}

// order keeps r as the last order and wakes who watches. The lock is held by the caller.
func (m *Manager) order(r Record, t instant, loaded bool) {
	if !m.rec.same(r) {
		m.lastHome, m.severed, m.intact, m.trials, m.triedAt = nil, nil, nil, m.trialsUnder(r), time.Time{}
		m.orders++
	}
	if loaded && r.Desired == Isolated {
		m.trials = r.Leaks
	}
	if loaded || r.CommandID != m.rec.CommandID || !r.OrderedAt.Equal(m.rec.OrderedAt) {
		m.lease.begin(r, t, loaded)
	}
	if r.Desired != m.rec.Desired {
		close(m.changed)
		m.changed = make(chan struct{})
	}
	m.rec = r
	m.gen++
}

// trialsUnder are the trials that still count under r. The lock is held by the caller.
func (m *Manager) trialsUnder(r Record) []Trial {
	switch {
	case m.rec.same(r):
		return m.trials
	case m.rec.Desired == Isolated && r.Desired == Isolated:
		return leaksUnder(r.Policy, m.trials)
	}
	return nil
}

// seenMax bounds what is remembered of events between two measurements.
const seenMax = 32

func (m *Manager) saw(e Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if room := seenMax - len(m.seen); len(e.What) > room {
		e.What = e.What[:room]
	}
	m.seen = append(m.seen, e.What...)
	m.others = append(m.others, e.Others[:min(len(e.Others), seenMax-len(m.others))]...)
}

// takeSeen returns what was seen of our rules and of others' since it was last called.
func (m *Manager) takeSeen() (seen, others []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen, others = m.seen, m.others
	m.seen, m.others = nil, nil
	return seen, others
}
