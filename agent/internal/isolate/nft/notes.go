//go:build linux

package nft

import (
	"context"
	"slices"
	"sync"
	"time"

	"hozen/agent/internal/isolate"
)

// notes gathers what was seen until somebody takes it, and sees to it that a storm of
// notifications does not become one of measurements.
type notes struct {
	mu     sync.Mutex
	e      isolate.Event
	any    bool
	urgent bool
	wake   chan struct{}
}

// whatMax bounds the lines of one event.
const whatMax = 16

func newNotes() *notes { return &notes{wake: make(chan struct{}, 1)} }

// add notes what was seen, all of it or nothing for whoever takes. It is urgent when our
// rules may be gone.
func (n *notes) add(urgent bool, what ...string) { n.note(urgent, false, what) }

// lose notes that something was not seen.
func (n *notes) lose() { n.note(true, true, []string{"more happened than could be read"}) }

// addOthers notes what others hooked in beside our rules.
func (n *notes) addOthers(what []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.any {
		n.e.At = time.Now().UTC()
	}
	for _, w := range what {
		if len(n.e.Others) < whatMax && !slices.Contains(n.e.Others, w) {
			n.e.Others = append(n.e.Others, w)
		}
	}
	n.any = true
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notes) note(urgent, lost bool, what []string) {
	n.mu.Lock()
	if !n.any {
		n.e.At = time.Now().UTC()
	}
	for _, w := range what {
		switch {
		case slices.Contains(n.e.What, w): // of a hundred routes one is said
		case len(n.e.What) < whatMax:
			n.e.What = append(n.e.What, w)
		case len(n.e.What) == whatMax:
			n.e.What = append(n.e.What, "and more")
		}
	}
	n.any, n.urgent = true, n.urgent || urgent
	n.e.Rules = n.e.Rules || urgent && len(what) > 0
	n.e.Lost = n.e.Lost || lost
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notes) state() (any, urgent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.any, n.urgent
}

func (n *notes) take() isolate.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.e
	n.e, n.any, n.urgent = isolate.Event{}, false, false
	return e
}

// deliver hands over what was noted until ctx ends.
func (n *notes) deliver(ctx context.Context, out chan<- isolate.Event) {
	var p pace
	for {
		any, urgent := n.state()
		var ready <-chan time.Time
		var timer *time.Timer
		if any {
			timer = time.NewTimer(p.wait(time.Now(), urgent))
			ready = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-n.wake: // perhaps it is urgent now
			if timer != nil {
				timer.Stop()
			}
			continue
		case <-ready:
		}
		// What comes while the receiver is busy is for the next time.
		p.sent(time.Now())
		select {
		case out <- n.take():
		case <-ctx.Done():
			return
		}
	}
}

// pace spaces events out: the first of a series is told at once, the others ever
// later, up to a bound.
type pace struct {
	last         time.Time
	rules, links time.Duration
}

// The bounds. A measurement with what follows takes about 20 ms.
const (
	paceFirst = 10 * time.Millisecond
	paceRules = 40 * time.Millisecond
	paceLinks = 320 * time.Millisecond
	paceQuiet = 2 * time.Second // without events, after which a series is over
)

func (p *pace) wait(now time.Time, urgent bool) time.Duration {
	gap := p.links
	if urgent {
		gap = p.rules
	}
	return max(0, p.last.Add(gap).Sub(now))
}

func (p *pace) sent(now time.Time) {
	if now.Sub(p.last) > paceQuiet {
		p.rules, p.links = paceFirst, paceFirst
	} else {
		p.rules, p.links = min(2*p.rules, paceRules), min(2*p.links, paceLinks)
	}
	p.last = now
}
