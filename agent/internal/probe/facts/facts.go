// Package facts is the frame of probes that read the system's state from small files and
// tables of the kernel: it counts what could not be read and turns that into the outcome.
// It knows nothing of what is read.
package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
)

// Config makes a probe.
type Config struct {
	Kind       artifact.Kind
	Schema     string
	Volatility probe.Volatility
	// OS is the one GOOS that has such evidence; elsewhere the probe says so.
	OS string
	// Read reads everything and hands it to the Out. An error ends the reading; what
	// merely could not be read is told to [Out.Miss].
	Read func(ctx context.Context, o *Out) error
}

// New returns the probe.
func New(c Config) probe.Probe { return frame{c} }

type frame struct{ c Config }

func (f frame) Kind() artifact.Kind          { return f.c.Kind }
func (f frame) Schema() string               { return f.c.Schema }
func (f frame) Volatility() probe.Volatility { return f.c.Volatility }

// Acquire implements [probe.Probe]. Where nothing was read because nothing may be, the
// error is the refusal itself; where there is nothing to read, [errors.ErrUnsupported].
func (f frame) Acquire(ctx context.Context, w probe.Writer) error {
	if runtime.GOOS != f.c.OS {
		return errors.ErrUnsupported
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	o := Out{w: w}
	err := f.c.Read(ctx, &o)
	switch {
	case o.refused != nil:
		return o.refused
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	case errors.Is(err, fs.ErrNotExist) && o.missed == 0 && o.written == 0:
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	case err != nil:
		o.missed++
		o.first = errors.Join(err, o.first)
	}
	switch {
	case o.missed == 0:
		return nil
	case o.written == 0:
		return o.first
	}
	return &probe.Missing{Skipped: o.missed, Err: o.first}
}

// Out takes what a probe reads.
type Out struct {
	w       probe.Writer
	written int64
	missed  int64
	first   error
	refused error
}

// Write hands on a record. Its error ends the reading.
func (o *Out) Write(r probe.Record) error {
	if o.refused == nil {
		o.refused = o.w.Write(r)
	}
	if o.refused == nil {
		o.written++
	}
	return o.refused
}

// Miss counts one thing that was seen and could not be read. What is not there, or no
// more, was not missed.
func (o *Out) Miss(err error) {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return
	}
	if o.missed++; o.first == nil {
		o.first = err
	}
}

// Refused reports whether something was missed and nothing was written.
func (o *Out) Refused() bool { return o.missed > 0 && o.written == 0 }

// Refusal is the error of the writer, nil as long as there is none.
func (o *Out) Refusal() error { return o.refused }

// Missed counts n things that could not be read; none is none.
func (o *Out) Missed(n int64, err error) {
	if n <= 0 {
		return
	}
	if o.missed += n; o.first == nil {
		o.first = err
	}
}
