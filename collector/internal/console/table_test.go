package console

import (
	"strings"
	"testing"

	"hozen/collector/internal/console/records"
	"hozen/internal/artifact/record"
)

// TestNothingIsWrittenOutForARowThatIsNotLookedFor: tables have hundreds of thousands.
func TestNothingIsWrittenOutForARowThatIsNotLookedFor(t *testing.T) {
	made := 0
	text := func() string { made++; return "curl" }
	if !matches(nil, text) || made != 0 {
		t.Errorf("made %d texts without a search", made)
	}
	if !matches([]string{"cu", "rl"}, text) || matches([]string{"cu", "wget"}, text) || made != 2 {
		t.Errorf("made %d texts for two searches", made)
	}
	f := &records.File{Flights: make([]records.Flight, 100_000)}
	for i := range f.Flights {
		f.Flights[i].Comm, f.Flights[i].Seq = strings.Repeat("x", i%7), uint64(i)
	}
	if n := testing.AllocsPerRun(1, func() { linesOf(f) }); n > 10 {
		t.Errorf("%.0f allocations before a row is shown", n)
	}
	rows, fields := linesOf(f)
	if len(rows) != len(f.Flights) || fields(99_999)[0].Name != "event" {
		t.Errorf("%d rows, %v", len(rows), fields(99_999))
	}
	if rows, _ := linesOf(&records.File{Sockets: make([]record.Socket, 3)}); len(rows) != 3 {
		t.Errorf("%v", rows)
	}
}
