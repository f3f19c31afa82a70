package procmap

import (
	"context"
	"errors"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	// maxMaps is how many ranges of one process are read.
	maxMaps = 8192
	// maxText is how many bytes of one text are read: some 200 for each range.
	maxText = 2 << 20
)

var errOdd = errors.New("lines of a memory map not understood")

type reader struct{ pass *scan.Pass }

// New returns the probe that reads the memory maps of the processes of pass.
func New(pass *scan.Pass) probe.Probe { return reader{pass} }

func (reader) Kind() artifact.Kind          { return artifact.KindProcMap }
func (reader) Schema() string               { return record.SchemaProcMap }
func (reader) Volatility() probe.Volatility { return probe.Handles }

// Acquire writes a line for every process that has memory.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	return walk(ctx, r.pass, w)
}

func read(a *scan.At, b []byte) ([]byte, error) {
	raw, cut, err := a.File("maps", maxText)
	if err != nil || len(raw) == 0 {
		return b, err
	}
	p := record.ProcMap{PID: a.Process.PID, StartTicks: a.Process.StartTicks, Comm: a.Process.Comm}
	bad := Parse(&p, raw, maxMaps, a.Text)
	if cut {
		if !p.Cut {
			bad-- // the last line is half a line
		}
		p.Cut = true
	}
	if bad > 0 {
		err = errOdd
	}
	return p.AppendJSON(b), err
}
