package crossview

import (
	"context"
	"errors"
	"fmt"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type reader struct{}

// New returns the probe.
func New() probe.Probe { return reader{} }

func (reader) Kind() artifact.Kind          { return artifact.KindCrossView }
func (reader) Schema() string               { return record.SchemaCrossView }
func (reader) Volatility() probe.Volatility { return probe.Handles }

// result is what came of one check.
type result struct {
	check record.CrossCheck
	finds []record.CrossFinding
	err   error // why it is not whole
}

// Acquire writes the line of each check and then its findings.
func (reader) Acquire(ctx context.Context, w probe.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e, err := look()
	if err != nil {
		return err
	}
	defer e.close()
	var why error
	var missing int64
	for _, check := range [...]func(context.Context) result{e.processes, e.covered, e.sockets, e.modules} {
		if ctx.Err() != nil {
			missing++
			continue
		}
		r := check(ctx)
		if r.err != nil {
			missing++
			why = errors.Join(why, fmt.Errorf("compare %s: %w", r.check.Check, r.err))
			if r.check.Detail == "" {
				r.check.Detail, _ = record.TextOf(r.err.Error())
			}
		}
		r.check.Confirmed = len(r.finds)
		if err := w.Write(&r.check); err != nil {
			return err
		}
		for i := range r.finds {
			if err := w.Write(&r.finds[i]); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		why = err
	}
	if missing > 0 {
		return &probe.Missing{Skipped: missing, Err: why}
	}
	return nil
}

// says puts the answer of a view into a word.
func says(there bool) string {
	if there {
		return "there"
	}
	return "absent"
}
