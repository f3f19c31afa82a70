//go:build !linux

package tunnel

import (
	"context"

	"hozen/agent/internal/isolate"
)

// Finder finds nothing on this system, on which nothing is isolated either.
type Finder struct{}

// New returns a Finder.
func New(Config) *Finder { return &Finder{} }

// Tunnels returns nothing.
func (*Finder) Tunnels(context.Context, isolate.Policy) (found []isolate.Tunnel, limits []string) {
	return nil, nil
}
