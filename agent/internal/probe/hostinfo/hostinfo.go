package hostinfo

import (
	"context"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type reader struct{ root string }

// New returns the probe of the machine whose files are below root, usually "/".
func New(root string) probe.Probe { return reader{root} }

func (reader) Kind() artifact.Kind          { return artifact.KindHostInfo }
func (reader) Schema() string               { return record.SchemaHostInfo }
func (reader) Volatility() probe.Volatility { return probe.Machine }

// Acquire writes one line; an error beside it says which of its fields are missing.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h, err := read(ctx, r.root)
	if h == nil {
		return err
	}
	if werr := w.Write(h); werr != nil {
		return werr
	}
	return err
}
