package clock

import (
	"context"
	"strings"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type reader struct{ root string }

// New returns the probe of the clocks. The zone's file is looked up below root,
// usually "/".
func New(root string) probe.Probe { return reader{root} }

func (reader) Kind() artifact.Kind          { return artifact.KindClock }
func (reader) Schema() string               { return record.SchemaClock }
func (reader) Volatility() probe.Volatility { return probe.Machine }

// Acquire writes one line; an error beside it says which of its fields are missing.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := read(r.root)
	if c == nil {
		return err
	}
	if werr := w.Write(c); werr != nil {
		return werr
	}
	return err
}

// zoneOf takes the name of a zone out of where /etc/localtime leads (localtime(5)).
func zoneOf(link string) string {
	_, name, ok := strings.Cut(link, "zoneinfo/")
	if !ok {
		return ""
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "posix/"), "right/")
	text, _ := record.TextOf(name)
	return text
}
