package procenv

import (
	"context"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// limit is how much is read of one environment, in bytes.
const limit = 128 << 10

type reader struct{ pass *scan.Pass }

// New returns the probe that reads the environments of the processes of pass.
func New(pass *scan.Pass) probe.Probe { return reader{pass} }

func (reader) Kind() artifact.Kind          { return artifact.KindProcEnv }
func (reader) Schema() string               { return record.SchemaProcEnv }
func (reader) Volatility() probe.Volatility { return probe.Handles }

// Acquire writes a line for every process that has an environment.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	return r.pass.Walk(ctx, w, "environments", read)
}

func read(a *scan.At, b []byte) ([]byte, error) {
	raw, cut, err := a.File("environ", limit)
	if err != nil || len(raw) == 0 {
		return b, err
	}
	e := record.ProcEnv{PID: a.Process.PID, StartTicks: a.Process.StartTicks, Comm: a.Process.Comm, Bytes: len(raw), Cut: cut}
	e.Vars, e.Withheld = Parse(raw)
	if len(e.Vars) == 0 {
		return b, nil
	}
	return e.AppendJSON(b), nil
}
