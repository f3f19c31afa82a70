package sockevent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/recorder/entry"
)

// tcp is a table of TCP over IPv4 with times; each row is state, local and remote port, PID.
func tcp(rows ...[4]byte) []byte {
	b := make([]byte, 8+160*len(rows))
	b[0] = byte(len(rows))
	for i, r := range rows {
		x := b[8+160*i:]
		x[0] = r[0]
		copy(x[4:], []byte{192, 0, 2, 7, 0x10, r[1]})
		copy(x[12:], []byte{198, 51, 100, 9, 0x01, r[2]})
		x[20] = r[3]
	}
	return b
}

func TestTablesBecomeEvents(t *testing.T) {
	now := int64(0)
	var table []byte
	var refused error
	p := poller{cfg: Config{Boot: func() int64 { now += 1000; return now }}, table: newTable(3), ask: func(t winbytes.Table) ([]byte, error) {
		switch {
		case t == winbytes.Table{Module: true} && refused == nil:
			return table, nil
		case t == winbytes.Table{} && refused != nil:
			return nil, refused
		case t == winbytes.Table{Module: true}:
			return nil, errors.ErrUnsupported
		}
		return make([]byte, 8), nil // empty
	}}
	look := func() (events []entry.Event) {
		p.look(func(e *entry.Event) { events = append(events, *e) })
		return events
	}
	table = tcp([4]byte{3, 1, 187, 50}, [4]byte{11, 2, 187, 50}) // one that begins, one in TIME_WAIT
	got := look()
	if len(got) != 1 || got[0].Type != entry.ConnectionOpened || got[0].PID != 50 || got[0].UID != -1 || got[0].State != stateSynSent || got[0].Local.String() != "192.0.2.7:4097" || got[0].Remote.String() != "198.51.100.9:443" || got[0].Proto != protoTCP {
		t.Fatalf("%+v", got)
	}
	cookie := got[0].Cookie
	table = tcp([4]byte{5, 1, 187, 50})
	if got = look(); len(got) != 1 || got[0].Type != entry.ConnectionChanged || got[0].State != stateEstablished || got[0].Cookie != cookie || got[0].AfterNS != 1000 {
		t.Fatalf("%+v", got)
	}
	if got = look(); len(got) != 0 {
		t.Errorf("nothing happened: %+v", got)
	}
	refused = errors.New("odd")
	if got = look(); len(got) != 1 || got[0].Type != entry.Gap || p.table.count() != 1 {
		t.Errorf("a table that is not read ends no connection: %+v", got)
	}
	if got = look(); len(got) != 0 {
		t.Errorf("the same trouble again: %+v", got)
	}
	refused = nil
	table = tcp([4]byte{5, 1, 187, 51}) // the same addresses, another process
	if got = look(); len(got) != 2 || got[0].Type != entry.ConnectionOpened || got[0].PID != 51 || got[1].Type != entry.ConnectionClosed || got[1].PID != 50 {
		t.Errorf("%+v", got)
	}
	table = tcp([4]byte{5, 1, 1, 1}, [4]byte{5, 2, 1, 1}, [4]byte{5, 3, 1, 1}, [4]byte{5, 4, 1, 1})
	if got = look(); got[len(got)-2].Type != entry.Gap || got[len(got)-2].Lost != 2 {
		t.Errorf("more than are kept: %+v", got)
	}
}

func TestTablesAreReadFromTimeToTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		reads := 0
		p := poller{cfg: Config{Every: DefaultEvery, Boot: func() int64 { return int64(time.Since(begun)) + 1 }}, table: newTable(3), ask: func(table winbytes.Table) ([]byte, error) {
			if table == (winbytes.Table{Module: true}) {
				reads++
			}
			return make([]byte, 8), nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		var first *entry.Event
		err := p.run(ctx, func(e *entry.Event) {
			if first == nil {
				first = e
			}
		})
		if !errors.Is(err, context.DeadlineExceeded) || reads != 5 { // at 0, 2, 4, 6 and 8 s
			t.Errorf("%v, read %d times", err, reads)
		}
		if first == nil || first.Type != entry.Gap || string(first.Detail) != gapTables {
			t.Errorf("the record does not say what it lacks: %+v", first)
		}
	})
}
