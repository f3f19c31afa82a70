//go:build !linux && !windows

package sockevent

import (
	"context"
	"errors"

	"hozen/agent/internal/recorder/entry"
)

// Watcher does not exist on this system.
type Watcher struct{ table *table }

func open(Config) (*Watcher, error) { return nil, errors.ErrUnsupported }

func (*Watcher) run(context.Context, func(*entry.Event)) error { return errors.ErrUnsupported }
func (*Watcher) close() error                                  { return nil }
