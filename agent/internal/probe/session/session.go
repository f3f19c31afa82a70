package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type reader struct{ root string }

// New returns the probe of the sign-ins of the system whose files are below root,
// usually "/".
func New(root string) probe.Probe { return reader{root} }

func (reader) Kind() artifact.Kind          { return artifact.KindSession }
func (reader) Schema() string               { return record.SchemaSession }
func (reader) Volatility() probe.Volatility { return probe.Presence }

// source is what one place said.
type source struct {
	sessions []record.Session
	unread   int64 // records that could not be read
	err      error
}

func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	sources, err := read(ctx, r.root)
	if err != nil {
		return err
	}
	var unread int64
	var why error
	for _, s := range sources {
		for i := range s.sessions {
			if err := w.Write(&s.sessions[i]); err != nil {
				return err
			}
		}
		if s.err != nil && !errors.Is(s.err, fs.ErrNotExist) {
			unread += max(s.unread, 1)
			why = errors.Join(why, s.err)
		}
	}
	if why != nil {
		return &probe.Missing{Skipped: unread, Err: fmt.Errorf("read sign-ins: %w", why)}
	}
	return ctx.Err()
}
