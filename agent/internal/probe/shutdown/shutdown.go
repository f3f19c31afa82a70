// Package shutdown is the probe that writes into an acquisition why it was made: the
// notice that the PC goes down or to sleep. It knows nothing of how a notice comes.
//
// What evidence: who told the agent, when on both clocks, what kind of going down, for
// whom as far as the system says, and whether an incident was open.
//
// Source of truth: what the agent itself was told since the boot, in memory.
//
// Privileges: none. Footprint: none.
//
// Volatility: Live; it is gone with the agent, and so small that it delays nothing.
//
// Blind spots: a PC that loses its power gives no notice. The system's service for
// logins says seldom who asked.
package shutdown

import (
	"context"
	"errors"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type reader struct {
	read func() (record.Shutdown, bool)
}

// New returns the probe. read gives the notices so far, or false when there was none; it
// must return at once.
func New(read func() (record.Shutdown, bool)) probe.Probe { return reader{read} }

func (reader) Kind() artifact.Kind          { return artifact.KindShutdown }
func (reader) Schema() string               { return record.SchemaShutdown }
func (reader) Volatility() probe.Volatility { return probe.Live }

// Acquire writes one line, or none when there was no notice.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.read == nil {
		return errors.ErrUnsupported
	}
	s, ok := r.read()
	if !ok {
		return nil
	}
	return w.Write(&s)
}
