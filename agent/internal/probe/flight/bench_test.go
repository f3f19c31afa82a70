package flight_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"hozen/agent/internal/probe/flight"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
)

// discard counts lines.
type discard struct{ probetest.Lines }

// BenchmarkFullRing reads the last minutes out of a ring that is full of one boot: five
// processes a second for hours, every ten minutes a storm.
func BenchmarkFullRing(b *testing.B) {
	rg, _, err := ring.Open(ring.Config{Dir: b.TempDir(), BootID: "b"})
	if err != nil {
		b.Fatal(err)
	}
	defer rg.Close()
	rnd := rand.New(rand.NewPCG(1, 1))
	now, pid := int64(minute), 100
	for s := 0; rg.Stats().Bytes < 31<<20; s++ {
		n := 5
		if s%600 < 3 {
			n = 2400
		}
		var events []entry.Event
		for range n {
			pid += rnd.IntN(3) + 1
			at := now - rnd.Int64N(1e9)
			exe := fmt.Sprintf("/usr/bin/tool%d", rnd.IntN(50))
			events = append(events,
				entry.Event{Type: entry.ProcessStarted, Source: 1, How: entry.HowFork, BootNS: at, PID: pid, PPID: 99, UID: -1, EUID: -1},
				entry.Event{Type: entry.ProcessStarted, Source: 1, How: entry.HowExec, BootNS: at + 1e5, PID: pid, PPID: 99, StartTicks: uint64(at / 1e7), Exe: []byte(exe), Comm: []byte(exe[9:]), Cmdline: fmt.Appendf(nil, "%s\x00--file=%x\x00", exe, rnd.Uint64())},
				entry.Event{Type: entry.ProcessEnded, Source: 1, BootNS: at + rnd.Int64N(1e8), PID: pid, PPID: 99, UID: -1, EUID: -1, HasStatus: true})
		}
		for len(events) > 0 {
			k := min(len(events), 200)
			if err := rg.Append(entry.KindEvents, at(now), payload(now, events[:k]...)); err != nil {
				b.Fatal(err)
			}
			events = events[k:]
		}
		if s%10 == 0 || n > 5 {
			if err := rg.Flush(); err != nil {
				b.Fatal(err)
			}
		}
		now += 1e9
	}
	b.Logf("%d entries, %d s of records", rg.Stats().NextSeq, now/1e9)
	b.ReportAllocs()
	for b.Loop() {
		var l discard
		if err := flight.New(flight.Config{Read: rg.Read, BootID: "b"}).Acquire(b.Context(), &l); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(l.All)), "lines")
	}
}
