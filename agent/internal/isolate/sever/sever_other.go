//go:build !linux && !windows

package sever

import (
	"context"
	"errors"

	"hozen/agent/internal/isolate"
)

// Config is what a Kernel is built from.
type Config struct{}

// Kernel is isolate.Connections of a system that cannot end those of others.
type Kernel struct{}

var _ isolate.Connections = (*Kernel)(nil)

// New returns a Kernel.
func New(Config) *Kernel { return &Kernel{} }

// Sever returns errors.ErrUnsupported.
func (*Kernel) Sever(context.Context, isolate.Policy) (isolate.Severed, error) {
	return isolate.Severed{Unsupported: true}, errors.ErrUnsupported
}
