package isolatetest

import (
	"context"
	"sync"

	"hozen/agent/internal/isolate"
)

// Watched is a fake Firewall that tells of changes when told to.
type Watched struct {
	Firewall
	// Deny, if not nil, is why it cannot be watched at the moment.
	Deny func() error

	mu      sync.Mutex
	watches int
	tell    chan isolate.Event
	end     context.CancelFunc
}

// Watch implements isolate.Watcher.
func (w *Watched) Watch(ctx context.Context) (<-chan isolate.Event, error) {
	if w.Deny != nil {
		if err := w.Deny(); err != nil {
			return nil, err
		}
	}
	ctx, end := context.WithCancel(ctx)
	tell, out := make(chan isolate.Event), make(chan isolate.Event)
	w.mu.Lock()
	w.watches++
	w.tell, w.end = tell, end
	w.mu.Unlock()
	go func() {
		defer close(out)
		e := isolate.Event{} // watching has begun
		for {
			select {
			case out <- e:
			case <-ctx.Done():
				return
			}
			select {
			case e = <-tell:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// Tell tells those who watch.
func (w *Watched) Tell(e isolate.Event) {
	w.mu.Lock()
	tell := w.tell
	w.mu.Unlock()
	tell <- e
}

// Break ends the watching by itself, as a firewall may.
func (w *Watched) Break() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
}

// Watches returns how often watching began.
func (w *Watched) Watches() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watches
}
