package ransom

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// interval is the time between two looks.
const interval = time.Second

type procIO struct{ pass *scan.Pass }

// NewProcIO returns the probe of what the processes of pass read and write.
func NewProcIO(pass *scan.Pass) probe.Probe { return procIO{pass} }

func (procIO) Kind() artifact.Kind          { return artifact.KindProcIO }
func (procIO) Schema() string               { return record.SchemaProcIO }
func (procIO) Volatility() probe.Volatility { return probe.Handles }

type counted struct {
	io record.ProcIO
	at time.Time
}

// Acquire looks twice and writes what it saw the second time.
func (p procIO) Acquire(ctx context.Context, w probe.Writer) error {
	var mu sync.Mutex
	before := make(map[int]counted)
	// What refuses now refuses again, and is told then.
	_ = p.pass.Walk(ctx, nothing{}, "counters", func(a *scan.At, b []byte) ([]byte, error) {
		io, err := look(a)
		if err == nil {
			mu.Lock()
			before[io.PID] = counted{io, time.Now()}
			mu.Unlock()
		}
		return b, nil
	})
	wait := time.NewTimer(interval)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	return p.pass.Walk(ctx, w, "counters", func(a *scan.At, b []byte) ([]byte, error) {
		io, err := look(a)
		if err != nil {
			return b, err
		}
		now := time.Now()
		mu.Lock()
		then, ok := before[io.PID]
		mu.Unlock()
		if ok && then.io.StartTicks == io.StartTicks {
			io.IntervalNS = int64(now.Sub(then.at))
			io.ReadCharsNow, io.WriteCharsNow = less(io.ReadChars, then.io.ReadChars), less(io.WriteChars, then.io.WriteChars)
			io.ReadBytesNow, io.WriteBytesNow = less(io.ReadBytes, then.io.ReadBytes), less(io.WriteBytes, then.io.WriteBytes)
		}
		return io.AppendJSON(b), nil
	})
}

func less(now, then uint64) uint64 { return max(now, then) - then }

// nothing takes records that nobody wants.
type nothing struct{}

func (nothing) Write(probe.Record) error { return nil }

func look(a *scan.At) (record.ProcIO, error) {
	r := a.Process
	io := record.ProcIO{PID: r.PID, StartTicks: r.StartTicks, Comm: r.Comm, UID: r.UID}
	b, _, err := a.File("io", 4<<10)
	if err != nil {
		return io, err
	}
	parseIO(&io, b)
	return io, nil
}

// parseIO reads the text of /proc/PID/io.
func parseIO(io *record.ProcIO, b []byte) {
	words := strings.Fields(string(b))
	for i := 0; i+1 < len(words); i += 2 {
		n, _ := strconv.ParseUint(words[i+1], 10, 64)
		switch words[i] {
		case "rchar:":
			io.ReadChars = n
		case "wchar:":
			io.WriteChars = n
		case "read_bytes:":
			io.ReadBytes = n
		case "write_bytes:":
			io.WriteBytes = n
		case "cancelled_write_bytes:":
			io.Cancelled = n
		}
	}
}
