package flight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// DefaultLast is how much of a boot's end is read.
const DefaultLast = 15 * time.Minute

// Config says what to read.
type Config struct {
	// Read goes through the ring: the Read of an open one, or ring.ReadDir.
	Read func(ctx context.Context, from ring.ReadFrom) iter.Seq2[ring.Entry, error]
	// BootID is the boot to read of: this one, or the one before after a crash.
	BootID string
	// Last is how long before the newest entry of that boot to begin. Optional:
	// [DefaultLast].
	Last time.Duration
	// Prepare puts what waits in memory into the ring, before anything is read. Optional.
	Prepare func() error
}

type reader struct{ cfg Config }

// New returns the probe of the minutes before the newest entry of one boot.
func New(cfg Config) probe.Probe {
	if cfg.Last <= 0 {
		cfg.Last = DefaultLast
	}
	return reader{cfg}
}

func (reader) Kind() artifact.Kind          { return artifact.KindFlight }
func (reader) Schema() string               { return record.SchemaFlight }
func (reader) Volatility() probe.Volatility { return probe.Derivable }

// Acquire writes the events in the order of the ring. Places of the ring that are
// damaged are missing; what stands behind them is written.
func (r reader) Acquire(ctx context.Context, w probe.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var missing missing
	if r.cfg.Prepare != nil {
		if err := r.cfg.Prepare(); err != nil {
			missing.add(fmt.Errorf("write what waits: %w", err))
		}
	}
	since, beginNS, err := r.begin(ctx)
	if err != nil {
		return err
	}
	var f record.Flight
	for e, err := range r.cfg.Read(ctx, ring.ReadFrom{SinceSeq: since, BootID: r.cfg.BootID}) {
		if d, ok := errors.AsType[*ring.Damage](err); ok {
			// Damage before what is wanted does not matter, unless what is wanted could have
			// stood there. What a crash cut short at the very end is said too.
			if d.After == 0 || d.After >= since {
				missing.add(d)
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.At.BootNS < beginNS {
			continue
		}
		if err := lines(&e, &f, &missing, w); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return missing.err()
}

// markEvery is how far apart, in the ring's time, begin remembers where entries stand.
const markEvery = 10 * time.Second

// begin finds where the last minutes of the boot begin: nothing before the entry since
// belongs to them, nor any entry made before beginNS. since is 0 when nothing that is
// left of the boot is older than that.
func (r reader) begin(ctx context.Context) (since uint64, beginNS int64, err error) {
	type mark struct {
		seq uint64
		at  int64
	}
	var marks []mark
	newest := int64(0)
	for e, err := range r.cfg.Read(ctx, ring.ReadFrom{BootID: r.cfg.BootID}) {
		if _, damaged := errors.AsType[*ring.Damage](err); damaged {
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		newest = max(newest, e.At.BootNS)
		if n := len(marks); n == 0 || e.At.BootNS >= marks[n-1].at+int64(markEvery) {
			marks = append(marks, mark{e.Seq, e.At.BootNS})
		}
	}
	beginNS = newest - int64(r.cfg.Last)
	for _, m := range marks {
		if m.at > beginNS {
			break
		}
		since = m.seq
	}
	return since, beginNS, ctx.Err()
}

// missing counts what could not be read.
type missing struct {
	n     int64
	first error
}

func (m *missing) add(err error) {
	m.n++
	if m.first == nil {
		m.first = err
	}
}

func (m *missing) err() error {
	if m.n == 0 {
		return nil
	}
	return &probe.Missing{Skipped: m.n, Err: m.first}
}

// lines writes the events of one entry.
func lines(e *ring.Entry, f *record.Flight, missing *missing, w probe.Writer) error {
	if e.Kind == ring.KindGap {
		var g ring.Gap
		if err := json.Unmarshal(e.Payload, &g); err != nil {
			missing.add(fmt.Errorf("read gap %d: %w", e.Seq, err))
			return nil
		}
		*f = record.Flight{
			Event: record.FlightGap, Seq: e.Seq, Source: record.SourceRing, At: e.At.Wall, BootNS: e.At.BootNS, BootID: e.BootID,
			AfterBootNS: g.From.BootNS, UID: record.Unknown, EUID: record.Unknown, ExitCode: record.Unknown, Lost: g.Entries, Detail: g.Reason,
		}
		return w.Write(f)
	}
	item := 0
	for v, err := range entry.Events(e.Payload, e.At.BootNS) {
		if err != nil {
			missing.add(fmt.Errorf("entry %d: %w", e.Seq, err))
			return nil
		}
		fill(f, e, &v)
		f.Item = item
		item++
		if err := w.Write(f); err != nil {
			return err
		}
	}
	return nil
}
