package netconfig

import (
	"context"
	"errors"
	"fmt"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type reader struct{ root string }

// New returns the probe of the network configuration. The resolver's files are looked
// up below root, usually "/"; the rest is asked of the kernel.
func New(root string) probe.Probe { return reader{root} }

func (reader) Kind() artifact.Kind          { return artifact.KindNetConfig }
func (reader) Schema() string               { return record.SchemaNetConfig }
func (reader) Volatility() probe.Volatility { return probe.Presence }

// Acquire writes neighbours first, as they fade, then what they stand on.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	facts, unread, err := read(ctx, r.root)
	for i := range facts {
		if err := w.Write(&facts[i]); err != nil {
			return err
		}
	}
	if unread > 0 {
		return &probe.Missing{Skipped: unread, Err: fmt.Errorf("read network configuration: %w", errors.Join(ctx.Err(), err))}
	}
	return err
}
