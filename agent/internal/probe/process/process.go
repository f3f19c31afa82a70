package process

import (
	"context"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type reader struct{ pass *scan.Pass }

// New returns the probe that writes the processes of pass.
func New(pass *scan.Pass) probe.Probe { return reader{pass} }

func (reader) Kind() artifact.Kind          { return artifact.KindProcess }
func (reader) Schema() string               { return record.SchemaProcess }
func (reader) Volatility() probe.Volatility { return probe.Live }

// Acquire writes what was read even if ctx ended meanwhile: it is in memory already.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	reading, cancel := probe.Early(ctx)
	defer cancel()
	list, missing := r.pass.Processes(reading)
	for _, p := range list {
		if err := w.Write(p); err != nil {
			return err
		}
	}
	return missing
}
