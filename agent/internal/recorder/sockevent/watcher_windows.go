package sockevent

import (
	"context"

	"hozen/agent/internal/probe/winsys"
	"hozen/agent/internal/recorder/entry"
)

// Watcher reads the tables of this PC from time to time.
type Watcher struct{ poller }

func open(c Config) (*Watcher, error) {
	return &Watcher{poller{cfg: c, table: newTable(c.Most), ask: winsys.System{}.Sockets}}, nil
}

func (w *Watcher) run(ctx context.Context, emit func(*entry.Event)) error {
	return w.poller.run(ctx, emit)
}
func (*Watcher) close() error { return nil }
