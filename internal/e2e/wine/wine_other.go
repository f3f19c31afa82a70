//go:build !linux

package wine

import (
	"context"
	"errors"
	"fmt"

	"hozen/internal/e2e/rig"
)

// Session is a running Wine.
type Session struct{}

// Start reports that there is none: Windows programs run here as they are, if at all.
func Start(context.Context, Config) (*Session, error) {
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, errors.ErrUnsupported)
}

// Init is 0.
func (*Session) Init() int { return 0 }

// Dir is empty.
func (*Session) Dir() string { return "" }

// Spec is empty.
func (*Session) Spec(string, ...string) rig.Spec { return rig.Spec{} }

// Path is empty.
func (*Session) Path(string) string { return "" }

// Close does nothing.
func (*Session) Close() error { return nil }
