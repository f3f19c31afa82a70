//go:build !linux && !windows

package trial

import (
	"context"

	"hozen/agent/internal/isolate"
)

var _ isolate.Trials = (*Prober)(nil)

// Controls finds nothing open: this system is not tried yet.
func (*Prober) Controls(context.Context) isolate.Controls { return isolate.Controls{} }

// Try tries nothing, so that nothing is said.
func (*Prober) Try(context.Context, isolate.Policy, isolate.Controls, func(context.Context) ([]isolate.Drop, error)) []isolate.Trial {
	return nil
}
