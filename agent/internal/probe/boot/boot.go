package boot

import (
	"context"
	"errors"
	"fmt"

	"hozen/agent/internal/bootverdict"
	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type reader struct {
	judge func(ctx context.Context) (*record.Boot, error)
}

// New returns the probe of the boot before this one.
func New(c bootverdict.Config) probe.Probe {
	return reader{func(ctx context.Context) (*record.Boot, error) { return bootverdict.Judge(ctx, c) }}
}

// Earlier returns the probe of a boot before that. The system's sources tell of the last
// one only, so what is in the input is all there is.
func Earlier(in bootverdict.Input) probe.Probe {
	return reader{func(context.Context) (*record.Boot, error) { return bootverdict.Decide(in), nil }}
}

func (reader) Kind() artifact.Kind          { return artifact.KindBoot }
func (reader) Schema() string               { return record.SchemaBoot }
func (reader) Volatility() probe.Volatility { return probe.Derivable }

// Acquire writes one line. Sources that were refused are named in it and make the
// reading a partial one.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	o, err := r.judge(ctx)
	switch {
	case o == nil:
		return fmt.Errorf("judge last boot: %w", err)
	case ctx.Err() != nil:
		return ctx.Err() // a verdict from half of the sources is none
	}
	if werr := w.Write(o); werr != nil {
		return werr
	}
	if err == nil {
		return nil
	}
	return &probe.Missing{Skipped: unread(o, err), Err: err}
}

// unread counts the sources that are there and could not be read.
func unread(o *record.Boot, err error) (n int64) {
	for _, b := range o.Basis {
		if b.Read != "ok" && b.Read != "absent" {
			n++
		}
	}
	if n == 0 && !errors.Is(err, errors.ErrUnsupported) {
		return 1
	}
	return n
}
