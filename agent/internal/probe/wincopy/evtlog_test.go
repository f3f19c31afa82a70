package wincopy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/winapi/evt"
)

// TestLongLogsKeepTheirEnd: what happened last stands there.
func TestLongLogsKeepTheirEnd(t *testing.T) {
	const text, events = `C:\ProgramData\Microsoft\Windows Defender\Support\MPLog.log`, `C:\Windows\System32\winevt\Logs\Security.evtx`
	d := disk{
		text:           {data: "oldest" + strings.Repeat("x", 8*mib-6) + "newest", st: at(1)},
		events:         {data: "raw", st: at(1)},
		`EVT\Security`: {data: "exported", st: Status{Newest: true}},
	}
	r, err := acquire(t, artifact.KindLogFile, Scope{}, d)
	if err != nil {
		t.Error(err)
	}
	if got := r.data[text]; r.files[text].From != 6 || !r.ends[text].Cut || len(got) != 8*mib || !strings.HasSuffix(got, "newest") {
		t.Errorf("%d bytes from %d, %+v", len(got), r.files[text].From, r.ends[text])
	}
	if r.data[events] != "exported" || r.files[events].Way != record.WayExport || !r.ends[events].Cut {
		t.Errorf("the end of a log: %+v, %+v", r.files[events], r.ends[events])
	}
	for _, line := range r.rows {
		if keep := line.Keep; (line.Class == "usn") == (keep == "end") {
			t.Errorf("%s keeps %s", line.Class, keep)
		}
	}
}

// evtx is the bytes of a log whose chunks end with these events; 0 was never written.
func evtx(last ...uint64) []byte {
	b := make([]byte, evtxHeader+len(last)*evtxChunk)
	for i, n := range last {
		if n > 0 {
			at := evtxHeader + i*evtxChunk
			copy(b[at:], evtxMagic)
			binary.LittleEndian.PutUint64(b[at+evtxLast:], n)
		}
	}
	return b
}

func TestEndOfALog(t *testing.T) {
	for _, c := range []struct {
		name  string
		last  []uint64
		limit int64
		chunk int // with which what is kept begins
	}{
		{"in order", []uint64{10, 20, 30, 40, 50}, 2 * evtxChunk, 3},
		{"a little more than chunks", []uint64{10, 20, 30, 40, 50}, 2*evtxChunk + 7, 3},
		{"round", []uint64{60, 70, 80, 40, 50}, 2 * evtxChunk, 2},
		{"just round", []uint64{60, 20, 30, 40, 50}, 2 * evtxChunk, 0},
		{"not full", []uint64{10, 20, 30, 0, 0, 0}, 2 * evtxChunk, 2},
		{"nothing known", []uint64{0, 0, 0, 0}, 3 * evtxChunk, 1},
	} {
		b := evtx(c.last...)
		from, err := endOf(bytes.NewReader(b), true, int64(len(b)), c.limit)
		if want := int64(evtxHeader + c.chunk*evtxChunk); err != nil || from != want && (c.chunk != 0 || from != 0) {
			t.Errorf("%s: from %d, want %d, %v", c.name, from, want, err)
		}
	}
	if _, err := endOf(bytes.NewReader(nil), true, 1<<30, mib); err == nil {
		t.Error("a log that cannot be read")
	}
	if from, err := endOf(nil, false, 100, 30); err != nil || from != 70 {
		t.Error(from, err)
	}
}

// saving is a log whose export is made of events of these sizes.
type saving struct {
	queries []string
	sizes   []int64
	closed  int
}

type export struct {
	io.ReadSeeker
	s    *saving
	size int64
}

func (e export) Status() (Status, error) { return Status{Size: e.size}, nil }
func (e export) Close() error            { e.s.closed++; return nil }

func (s *saving) export(query string) (File, error) {
	s.queries = append(s.queries, query)
	return export{s: s, size: s.sizes[len(s.queries)-1]}, nil
}

func TestWhatFitsOfALog(t *testing.T) {
	for _, c := range []struct {
		name    string
		log     evt.Log
		most    int64
		sizes   []int64 // of the exports, one after the other
		queries string
		newest  bool
		err     error
	}{
		{"all of it", evt.Log{Size: 20 * mib, Oldest: 1, Count: 1000}, 20 * mib, []int64{19 * mib}, "*", false, nil},
		{"an empty log", evt.Log{Size: mib}, 20 * mib, []int64{mib}, "*", false, nil},
		{"a longer one", evt.Log{Size: 40 * mib, Oldest: 501, Count: 1000}, 20 * mib, []int64{16 * mib}, "*[System[EventRecordID > 1125]]", true, nil},
		{"its newest events are larger", evt.Log{Size: 40 * mib, Oldest: 501, Count: 1000}, 20 * mib, []int64{40 * mib, 15 * mib}, "*[System[EventRecordID > 1125]] *[System[EventRecordID > 1360]]", true, nil},
		{"it grew", evt.Log{Size: 20 * mib, Oldest: 1, Count: 1000}, 20 * mib, []int64{30 * mib, 15 * mib}, "* *[System[EventRecordID > 500]]", true, nil},
		{"it never fits", evt.Log{Size: 40 * mib, Oldest: 1, Count: 1000}, 20 * mib, []int64{80 * mib, 80 * mib, 80 * mib}, "*[System[EventRecordID > 625]] *[System[EventRecordID > 930]] *[System[EventRecordID > 987]]", false, errLarge},
		{"nobody knows how many events", evt.Log{Size: 40 * mib}, 20 * mib, nil, "", false, errLarge},
		{"no room on the disk", evt.Log{Size: 40 * mib, Oldest: 1, Count: 9}, -mib, nil, "", false, errNoRoom},
	} {
		s := &saving{sizes: c.sizes}
		f, err := fitting(c.log, c.most, s.export)
		if got := strings.Join(s.queries, " "); got != c.queries || !errors.Is(err, c.err) || (f == nil) != (c.err != nil) {
			t.Errorf("%s: %s, %v", c.name, got, err)
			continue
		}
		left := 0
		if f != nil {
			left = 1
			if st, err := f.Status(); err != nil || st.Newest != c.newest {
				t.Errorf("%s: %+v, %v", c.name, st, err)
			}
		}
		if s.closed != len(s.queries)-left {
			t.Errorf("%s: %d of %d exports are closed", c.name, s.closed, len(s.queries))
		}
	}
}

// TestOneExportAtATime: one that does not end keeps others from beginning, and is closed when
// it ends after all.
func TestOneExportAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lone
		s := &saving{sizes: make([]int64, 9)}
		let := make(chan struct{})
		if _, err := l.do(t.Context(), func() (File, error) { <-let; return s.export("slow") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := l.do(t.Context(), func() (File, error) { return s.export("next") }); !errors.Is(err, errBusy) {
			t.Error(err)
		}
		close(let)
		synctest.Wait()
		if len(s.queries) != 1 || s.closed != 1 {
			t.Errorf("%q, %d closed", s.queries, s.closed)
		}
		for range 2 {
			if f, err := l.do(t.Context(), func() (File, error) { return s.export("again") }); err != nil || f.Close() != nil {
				t.Error(err)
			}
		}
	})
}
