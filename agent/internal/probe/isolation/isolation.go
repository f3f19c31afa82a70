// Package isolation puts one measurement of the network isolation into evidence. It
// knows nothing of how a network is cut or measured.
package isolation

import (
	"context"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type measurement struct{ line record.Isolation }

// New returns the probe of one measurement.
func New(line record.Isolation) probe.Probe { return &measurement{line} }

func (*measurement) Kind() artifact.Kind          { return artifact.KindIsolation }
func (*measurement) Schema() string               { return record.SchemaIsolation }
func (*measurement) Volatility() probe.Volatility { return probe.Machine }

// Acquire writes one line.
func (m *measurement) Acquire(ctx context.Context, w probe.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.Write(&m.line)
}
