package memory

import (
	"context"
	"slices"
	"time"

	"hozen/agent/internal/probe"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Ranges returns the probe of the table; it comes after [Capture.Image].
func (c *Capture) Ranges() probe.Probe { return ranges{c} }

type ranges struct{ c *Capture }

func (ranges) Kind() artifact.Kind          { return artifact.KindMemRange }
func (ranges) Schema() string               { return record.SchemaMemRange }
func (ranges) Volatility() probe.Volatility { return probe.Image }

// Begun implements [probe.Summary].
func (r ranges) Begun() bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.c.table != nil
}

// Acquire writes what the image holds, range by range.
func (r ranges) Acquire(ctx context.Context, w probe.Writer) error {
	r.c.mu.Lock()
	err, table := r.c.err, slices.Clone(r.c.table)
	r.c.mu.Unlock()
	if err != nil {
		return err
	}
	for i := range table {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.Write(&table[i]); err != nil {
			return err
		}
	}
	return nil
}

// What reading memory takes: some time for the worst, and slower than all but a disk
// that writes what cannot be compressed.
const (
	least    = 10 * time.Minute
	slowRate = 20 << 20 // bytes per second
)

// Budget returns how long the image of this PC may take: as much memory as it has, read
// slowly, and at most most.
func Budget(most time.Duration) time.Duration { return budget(installed(), most) }

// usualRate is how fast an ordinary PC is, in bytes per second: what counts is packing.
const usualRate = 70e6

// Estimate returns how many bytes of memory this PC has, 0 when that is not known, and
// about how long an image of it takes, in whole minutes.
func Estimate() (bytes int64, about time.Duration) {
	n := int64(installed())
	return n, (time.Duration(n/usualRate)*time.Second + time.Minute).Truncate(time.Minute)
}

// budget is that of n bytes; 0 when it is not known how many there are.
func budget(n uint64, most time.Duration) time.Duration {
	if n == 0 || n/slowRate >= uint64(most/time.Second) {
		return most
	}
	return min(least+time.Duration(n/slowRate)*time.Second, most)
}
