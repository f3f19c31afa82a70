package records

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/evidence"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// flown makes the lines of a flight recorder, oldest first.
func flown(n int) string {
	var b []byte
	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.FixedZone("JST", 9*3600))
	for i := range n {
		r := record.Flight{Event: record.FlightProcessStarted, Seq: uint64(i), Source: record.SourceConnector, At: at.Add(time.Duration(i) * time.Millisecond), BootNS: int64(i), How: record.FlightExec,
			PID: i, PPID: 1, Comm: "sh", Exe: "/usr/bin/dash", Args: []string{"sh", "-c", fmt.Sprint("echo ", i)}}
		if i%3 == 0 {
			r = record.Flight{Event: record.FlightConnectionListed, Seq: uint64(i), Source: record.SourceDestroy, At: r.At, BootNS: r.BootNS, Family: "inet", Proto: "tcp", State: "ESTABLISHED",
				LocalAddr: "192.0.2.1", LocalPort: 443, RemoteAddr: fmt.Sprintf("10.0.%d.%d", i/256%256, i%256), RemotePort: 1}
		}
		b = append(r.AppendJSON(b), '\n')
	}
	return string(b)
}

// TestMemoryIsWhatTheHeapSays compares the count with the heap, for every kind.
func TestMemoryIsWhatTheHeapSays(t *testing.T) {
	const n = 20_000
	for kind, plain := range map[artifact.Kind]string{
		artifact.KindFlight:   flown(n),
		artifact.KindProcess:  strings.Repeat(`{"pid":17,"ppid":1,"comm":"firefox","exe":"/usr/lib/firefox/firefox","args":["firefox","-contentproc","-childID","7"],"user":"tanaka","started_at_derived":"2026-11-22T10:00:00+05:45"}`+"\n", n),
		artifact.KindNetConn:  strings.Repeat(`{"family":"inet","proto":"tcp","state":"ESTABLISHED","local_addr":"192.0.2.1","local_port":1,"remote_addr":"203.0.113.5","remote_port":443,"owners":[{"pid":1,"comm":"x"},{"pid":2,"comm":"y"}]}`+"\n", n),
		artifact.KindOpenFile: strings.Repeat(`{"pid":17,"fds":[{},{},{},{},{},{},{},{}]}`+"\n", n),
		artifact.KindExeHash:  strings.Repeat(`{"path":"/usr/bin/dash","sha256":"`+strings.Repeat("a", 64)+`"}`+"\n", n),
		"session":             strings.Repeat(`{"user":"tanaka","tty":"pts/0","since":7,"more":{"a":[1,2,3]}}`+"\n", n),
	} {
		item, stored := packed(t, kind, plain)
		heap := func() int64 {
			var m runtime.MemStats
			for range 2 { // the second frees what the first only marked
				runtime.GC()
			}
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := heap()
		f, err := Read(t.Context(), item, bytes.NewReader(stored), DefaultLimits())
		if err != nil || f.Rows() != n {
			t.Fatalf("%s: %v, %d rows", kind, err, f.Rows())
		}
		real, said := heap()-before, f.Memory()
		if said < real*8/10 || said > real*13/10 {
			t.Errorf("%s: %d bytes of memory, counted as %d", kind, real, said)
		}
		runtime.KeepAlive(f)
	}
}

// TestTheNewestEventsStay: what a recorder wrote last is shown, within the memory that
// one artifact may take, and decoded once only however large it is.
func TestTheNewestEventsStay(t *testing.T) {
	const n = 40_000
	plain := flown(n)
	item, stored := packed(t, artifact.KindFlight, plain)
	const limit = 4 << 20
	c, opened := NewCache(limit, DefaultLimits(), time.Now), 0
	get := func() *File {
		f, err := c.Get(t.Context(), item, func() (io.ReadCloser, error) {
			opened++
			return io.NopCloser(bytes.NewReader(stored)), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := get()
	if get() != f || opened != 1 {
		t.Errorf("%d bytes were decoded %d times", len(plain), opened)
	}
	if len(plain) < limit || f.Memory() > limit || c.size != f.Memory() {
		t.Errorf("%d bytes of JSON take %d bytes of memory, the cache says %d", len(plain), f.Memory(), c.size)
	}
	rows := f.Flights
	if !f.Cut || f.Older+len(rows) != n || f.Older == 0 || len(rows) < 1000 || f.Bad != 0 || !f.PlainOK || !f.StoredOK {
		t.Fatalf("%d rows, %d older, cut %t", len(rows), f.Older, f.Cut)
	}
	for i, r := range rows {
		if r.Seq != uint64(f.Older+i) {
			t.Fatalf("row %d is event %d", i, r.Seq)
		}
	}
	l := Limits{Plain: 1 << 30, Lines: 100, Line: 1000}
	for _, counted := range []int64{0, n} { // by the intake
		item.Records = counted
		f := read(t, item, stored, l)
		if len(f.Flights) > 100 || f.Flights[len(f.Flights)-1].Seq != n-1 || f.Older+len(f.Flights) != n || !f.PlainOK {
			t.Errorf("%d counted: %d rows, %d older", counted, len(f.Flights), f.Older)
		}
	}
}

func TestMemoryOfOneArtifactIsBounded(t *testing.T) {
	// Three bytes of JSON are a whole descriptor each.
	item, stored := packed(t, artifact.KindOpenFile, strings.Repeat(`{"pid":1,"fds":[`+strings.Repeat("{},", 999)+"{}]}\n", 2000))
	f := read(t, item, stored, Limits{Plain: 1 << 30, Lines: 100_000, Line: 1 << 20, Memory: 8 << 20})
	if !f.Cut || f.Rows() == 0 || f.Memory() > 9<<20 {
		t.Errorf("%d rows take %d bytes, cut %t", f.Rows(), f.Memory(), f.Cut)
	}
	if f, err := Read(t.Context(), evidence.Item{Name: "x.jsonl", Kind: artifact.KindFlight}, strings.NewReader(`{"event":"x"}`), Limits{Plain: 1, Lines: 1, Line: 1, Memory: 1}); err != nil || f.Rows() != 0 {
		t.Errorf("%v", err)
	}
}
