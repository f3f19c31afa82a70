//go:build !linux

package procevent

import (
	"context"
	"errors"

	"hozen/agent/internal/recorder/entry"
)

// Connector does not exist on this system.
type Connector struct{}

func open(Config) (*Connector, error) { return nil, errors.ErrUnsupported }

func (*Connector) run(context.Context, func(*entry.Event)) error { return errors.ErrUnsupported }
func (*Connector) close() error                                  { return nil }
