// Package severed puts the connections that existed when the network was cut into
// evidence. It knows nothing of how they were found or ended.
package severed

import (
	"context"
	"errors"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type list struct {
	lines   []record.Severed
	omitted int
}

// New returns the probe of these connections; omitted is how many more there were.
func New(lines []record.Severed, omitted int) probe.Probe { return &list{lines, omitted} }

func (*list) Kind() artifact.Kind          { return artifact.KindSevered }
func (*list) Schema() string               { return record.SchemaSevered }
func (*list) Volatility() probe.Volatility { return probe.Live }

var errOmitted = errors.New("more connections were ended than are listed")

// Acquire writes one line for each connection.
func (l *list) Acquire(ctx context.Context, w probe.Writer) error {
	for i := range l.lines {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.Write(&l.lines[i]); err != nil {
			return err
		}
	}
	if l.omitted > 0 {
		return &probe.Missing{Skipped: int64(l.omitted), Err: errOmitted}
	}
	return ctx.Err()
}
