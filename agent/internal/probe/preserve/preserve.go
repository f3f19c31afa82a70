// Package preserve puts the decision to take evidence and then switch off into that
// evidence. It knows nothing of who may decide, nor of how a PC is switched off.
package preserve

import (
	"context"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type decision struct{ line record.Preserve }

// New returns the probe of one decision.
func New(line record.Preserve) probe.Probe { return &decision{line} }

func (*decision) Kind() artifact.Kind          { return artifact.KindPreserve }
func (*decision) Schema() string               { return record.SchemaPreserve }
func (*decision) Volatility() probe.Volatility { return probe.Machine }

// Acquire writes one line.
func (d *decision) Acquire(ctx context.Context, w probe.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.Write(&d.line)
}
