package footprint

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"hozen/agent/internal/background"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/touch"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

type reader struct {
	told   record.Footprint // under which conditions the plan was made
	begun  time.Time
	before record.Footprint
}

// New returns the probe that tells what the program did since New was called. That is
// when the plan of the acquisition is made. said adds under which conditions that is, and may
// be nil; what is in force later is not what the acquisition was made under.
func New(said func(*record.Footprint)) probe.Probe {
	r := &reader{begun: time.Now()}
	if said != nil {
		said(&r.told)
	}
	_ = use(&r.before) // what it cannot tell now it cannot tell later
	return r
}

func (*reader) Kind() artifact.Kind          { return artifact.KindFootprint }
func (*reader) Schema() string               { return record.SchemaFootprint }
func (*reader) Volatility() probe.Volatility { return probe.Closing }

// Acquire writes the one line.
func (r *reader) Acquire(ctx context.Context, w probe.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f := r.told
	f.PID, f.StartedAt, f.Gentle = os.Getpid(), r.begun.Round(0), background.Marked(ctx)
	if err := use(&f); err != nil {
		return err
	}
	f.FinishedAt = time.Now().Round(0)
	if runtime.GOOS == "linux" { // elsewhere much is asked of the system that is no file
		f.FilesOpened = touch.Of(ctx).Count()
	}
	for _, n := range [...]struct {
		now    *int64
		before int64
	}{
		{&f.UserNS, r.before.UserNS}, {&f.SystemNS, r.before.SystemNS},
		{&f.ReadChars, r.before.ReadChars}, {&f.WriteChars, r.before.WriteChars},
		{&f.ReadCalls, r.before.ReadCalls}, {&f.WriteCalls, r.before.WriteCalls},
		{&f.DiskReads, r.before.DiskReads}, {&f.DiskWrites, r.before.DiskWrites},
		{&f.MinorFaults, r.before.MinorFaults}, {&f.MajorFaults, r.before.MajorFaults}, {&f.Switches, r.before.Switches},
	} {
		*n.now -= n.before
	}
	const none = 1<<63 - 1
	if limit := debug.SetMemoryLimit(-1); limit != none { // negative: asks only
		f.MemoryLimit = limit
	}
	return w.Write(&f)
}
