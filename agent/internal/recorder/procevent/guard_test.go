package procevent_test

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/procevent"
)

// swamp is a /proc in which the processes with the numbers 100 to 999 hang.
type swamp struct {
	release chan struct{}
	open    *atomic.Int64 // readers
}

func (s swamp) PIDs() ([]int, error) { return nil, nil }
func (s swamp) Read(e *entry.Event) {
	if e.PID >= 100 && e.PID < 1000 {
		<-s.release
	}
	s.Plain(e)
	e.Cmdline = []byte("arguments")
}
func (swamp) Plain(e *entry.Event)       { e.Exe, e.Comm, e.UID = []byte("/bin/p"), []byte("p"), 7 }
func (swamp) Stat(e *entry.Event) byte   { return 'D' }
func (s swamp) Close() error             { s.open.Add(-1); return nil }
func (s swamp) another() (*swamp, error) { s.open.Add(1); return &s, nil }
func newSwamp() swamp                    { return swamp{make(chan struct{}), new(atomic.Int64)} }
func (s swamp) guard(t *testing.T) *procevent.Guard {
	t.Helper()
	g, err := procevent.NewGuard(func() (procevent.Processes, error) { return s.another() })
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestWhoHangsIsReadWithoutItsCommandLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwamp()
		g := s.guard(t)
		begun := time.Now()
		ask := func(pid int) (entry.Event, string) {
			e := entry.Event{PID: pid, UID: -1}
			gap := g.Read(&e)
			return e, gap
		}
		for i := range 3 {
			e, gap := ask(100)
			if string(e.Exe) != "/bin/p" || string(e.Comm) != "p" || e.UID != 7 || e.Unread != entry.UnreadCmdline|entry.UnreadStuck || e.Cmdline != nil {
				t.Errorf("%d: %+v", i, e)
			}
			if told := strings.HasPrefix(gap, "not read: stuck: process 100 "); told != (i == 0) || !told && gap != "" {
				t.Errorf("%d: gap %q", i, gap)
			}
			if e, gap := ask(5); string(e.Cmdline) != "arguments" || e.Unread != 0 || gap != "" {
				t.Errorf("another process: %+v, %q", e, gap)
			}
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("one process held the others up for %v", took)
		}
		close(s.release)
		synctest.Wait()
		if e, gap := ask(100); string(e.Cmdline) != "arguments" || e.Unread != 0 || gap != "" {
			t.Errorf("let go: %+v, %q", e, gap)
		}
		g.Close()
		synctest.Wait()
		if n := s.open.Load(); n != 0 {
			t.Errorf("%d readers are left", n)
		}
	})
}

// However many processes hang, a bounded number of readers hangs with them.
func TestReadersThatHangAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwamp()
		g := s.guard(t)
		before, begun := runtime.NumGoroutine(), time.Now()
		gaps := map[string]int{}
		for pid := 100; pid < 1000; pid++ {
			e := entry.Event{PID: pid}
			gaps[g.Read(&e)]++
			if string(e.Exe) != "/bin/p" || e.Unread&entry.UnreadStuck == 0 {
				t.Fatalf("%+v", e)
			}
		}
		if n := runtime.NumGoroutine() - before; n > 8 {
			t.Errorf("%d goroutines hang", n)
		}
		if took := time.Since(begun); took > 4*time.Second {
			t.Errorf("they held the recorder up for %v", took)
		}
		if len(gaps) != 10 || gaps[""] != 900-9 {
			t.Errorf("gaps: %v", gaps)
		}
		e := entry.Event{PID: 5}
		if g.Read(&e); e.Unread&entry.UnreadStuck == 0 || string(e.Exe) != "/bin/p" {
			t.Errorf("no more readers, and yet: %+v", e)
		}
		close(s.release)
		synctest.Wait()
		e = entry.Event{PID: 5}
		if g.Read(&e); e.Unread != 0 || string(e.Cmdline) != "arguments" {
			t.Errorf("let go: %+v", e)
		}
		g.Close()
		synctest.Wait()
		if n := s.open.Load(); n != 0 {
			t.Errorf("%d readers are left", n)
		}
	})
}
