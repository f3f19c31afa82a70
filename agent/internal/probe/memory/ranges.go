package memory

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Ranges returns the probe of the table; it comes after [Capture.Image].
func (c *Capture) Ranges() probe.Probe { return ranges{c} }

type ranges struct{ c *Capture }

func (ranges) Kind() artifact.Kind          { return artifact.KindMemRange }
func (ranges) Schema() string               { return record.SchemaMemRange }
func (ranges) Volatility() probe.Volatility { return probe.Image }

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
	least    = 2 * time.Minute
	slowRate = 20 << 20 // bytes per second
	maxInfo  = 64 << 10
)

// Budget returns how long the image of the system below root may take: as much memory as
// the PC has, read slowly, and at most most.
func Budget(root string, most time.Duration) time.Duration {
	if runtime.GOOS != "linux" {
		return most
	}
	r, err := facts.Open(root)
	if err != nil {
		return most
	}
	defer r.Close()
	b, err := r.File("proc/meminfo", maxInfo)
	n, ok := memTotal(string(b))
	if err != nil || !ok {
		return most
	}
	return min(least+time.Duration(n/slowRate)*time.Second, most)
}

// memTotal finds how many bytes of memory the kernel has (proc_meminfo(5)).
func memTotal(text string) (n int64, ok bool) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err == nil && n >= 0 && n < 1<<50
		}
	}
	return 0, false
}
