package recorder_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/recorder"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/procevent"
	"hozen/agent/internal/recorder/ring"
	"hozen/agent/internal/recorder/state"
	"hozen/internal/artifact"
)

const soakEnv = "HOZEN_SOAK"

func clocks() artifact.Instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err)
	}
	return artifact.Instant{Wall: time.Now().UTC(), BootNS: ts.Nano()}
}

// needEvents skips where the kernel does not tell processes.
func needEvents(t testing.TB) {
	t.Helper()
	c, err := procevent.Open(procevent.Config{})
	if err != nil {
		t.Skipf("needs root in the initial namespaces: %v", err)
	}
	c.Close()
}

func openRing(t testing.TB) *ring.Ring {
	t.Helper()
	rg, _, err := ring.Open(ring.Config{Dir: t.TempDir(), BootID: "this boot"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rg.Close() })
	return rg
}

// start records until stop is called.
func start(t testing.TB, cfg recorder.Config) (r *recorder.Recorder, stop func()) {
	t.Helper()
	cfg.Clock = clocks
	r, err := recorder.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// all reads everything that is on record.
func all(t testing.TB, rg *ring.Ring) (events []entry.Event) {
	t.Helper()
	for e, err := range rg.Read(context.Background(), ring.ReadFrom{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == ring.KindGap {
			t.Errorf("the ring lost something: %s", e.Payload)
			continue
		}
		for v, err := range entry.Events(e.Payload, e.At.BootNS) {
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, v)
		}
	}
	return events
}

// until polls for cond.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		wait, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		<-wait.Done()
		cancel()
	}
}

func beating(t testing.TB, rg *ring.Ring) {
	until(t, "first heartbeat", func() bool {
		for _, e := range all(t, rg) {
			if e.Type == entry.Heartbeat {
				return true
			}
		}
		return false
	})
}

func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// heap is what the program holds after collecting, and what it has of the system.
func heap() (live, system uint64) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.Sys - m.HeapReleased
}

// account compares what is on record of a storm with what the storm counted.
type account struct {
	forks, execs, ends, read, unread, budget, silent int
	lost                                             uint64
}

func accountOf(events []entry.Event, s stormed, program string) (a account) {
	children := map[int]bool{}
	for i := range events {
		e := &events[i]
		switch {
		case e.Type == entry.Gap && e.Source == entry.SourceConnector:
			a.lost += e.Lost
		case e.Type == entry.ProcessStarted && e.How == entry.HowFork && e.PPID == s.PID:
			a.forks++
			children[e.PID] = true
		case e.Type == entry.ProcessStarted && e.How == entry.HowExec && (children[e.PID] || string(e.Exe) == program):
			a.execs++
			switch {
			case string(e.Exe) == program && strings.Contains(string(e.Cmdline), "\x00arg"):
				a.read++
			case e.Unread&(entry.UnreadExe|entry.UnreadCmdline) != 0:
				a.unread++
				if e.Unread&entry.UnreadBudget != 0 {
					a.budget++
				}
			default:
				a.silent++
			}
		case e.Type == entry.ProcessEnded && children[e.PID]:
			a.ends++
		}
	}
	return a
}

func TestNoStartIsLostSilently(t *testing.T) {
	needEvents(t)
	const rate = 2400
	seconds := 1
	if os.Getenv(soakEnv) != "" {
		seconds = 10
	}
	program, rg := tiny(t, false), openRing(t)
	live0, sys0 := heap()
	_, stop := start(t, recorder.Config{Ring: rg})
	beating(t, rg)
	cpu0 := cpu(t)
	s := runStorm(t, program, rate*seconds, rate)
	took := cpu(t) - cpu0
	stop()
	live1, sys1 := heap()
	a := accountOf(all(t, rg), s, program)
	st := rg.Stats()
	t.Logf("%d starts in %v (%.0f/s): on record forks %d, execs %d, ends %d, counted as lost %d; read in time %d, marked unread %d (for want of time %d)",
		s.Starts, time.Duration(s.NS), float64(s.Starts)/time.Duration(s.NS).Seconds(), a.forks, a.execs, a.ends, a.lost, a.read, a.unread, a.budget)
	t.Logf("CPU %v (%.1f%% of a core); heap %+d KB, memory of the program %+d KB; %d KB on disk in %d groups",
		took, 100*took.Seconds()/time.Duration(s.NS).Seconds(), (int64(live1)-int64(live0))/1000, (int64(sys1)-int64(sys0))/1000, st.Written/1000, st.Groups)
	if s.Starts < rate {
		t.Fatalf("the storm started %d processes only", s.Starts)
	}
	for what, n := range map[string]int{"forks": a.forks, "execs": a.execs} {
		if missing := s.Starts - int64(n); missing < 0 || uint64(missing) > a.lost {
			t.Errorf("%s: %d of %d are on record and %d events are counted as lost: %d are lost silently", what, n, s.Starts, a.lost, missing-int64(a.lost))
		}
	}
	if a.silent > 0 {
		t.Errorf("%d execs have neither their program and arguments nor a mark", a.silent)
	}
	if a.lost == 0 && a.ends != int(s.Starts) {
		t.Errorf("%d ends of %d", a.ends, s.Starts)
	}
}

// A queue that is much too small runs over. What is lost must be counted, by the
// kernel's numbers, to the last event.
func TestOverrunIsCounted(t *testing.T) {
	needEvents(t)
	program, rg := tiny(t, false), openRing(t)
	_, stop := start(t, recorder.Config{Ring: rg, Sources: recorder.Sources{
		Events: func(b *recorder.Budget) (recorder.Source, error) {
			c, err := procevent.Open(procevent.Config{ReceiveBuffer: 1, Budget: b})
			if err != nil {
				return nil, err
			}
			return slow{c}, nil
		},
	}})
	beating(t, rg)
	s := runStorm(t, program, 1500, 0)
	// The numbers show a loss when the next event arrives.
	runStorm(t, program, 20, 50)
	stop()
	events := all(t, rg)
	a := accountOf(events, s, program)
	t.Logf("%d starts: forks %d, execs %d, counted as lost %d", s.Starts, a.forks, a.execs, a.lost)
	if a.lost == 0 {
		t.Fatal("nothing was lost: this shows nothing")
	}
	if got := int64(a.forks+a.execs) + int64(a.lost); got < 2*s.Starts {
		t.Errorf("%d events on record or counted, of %d at least", got, 2*s.Starts)
	}
	overrun := false
	for _, e := range events {
		overrun = overrun || e.Type == entry.Gap && e.Source == entry.SourceConnector && e.Lost == 0
	}
	if !overrun {
		t.Error("the overrun itself is not on record")
	}
}

// A storm is not over when the recorder ends: what the kernel has told and nobody has
// heard yet is on record or counted.
func TestAnEndInAStormIsAccountedFor(t *testing.T) {
	needEvents(t)
	program, rg := tiny(t, false), openRing(t)
	_, stop := start(t, recorder.Config{Ring: rg, Sources: recorder.Sources{
		Events: func(b *recorder.Budget) (recorder.Source, error) {
			c, err := procevent.Open(procevent.Config{ReceiveBuffer: 64 << 20, Budget: b})
			if err != nil {
				return nil, err
			}
			return slow{c}, nil
		},
	}})
	beating(t, rg)
	s := runStorm(t, program, 1500, 0)
	stop()
	a := accountOf(all(t, rg), s, program)
	t.Logf("%d starts: forks %d, execs %d, counted as lost %d", s.Starts, a.forks, a.execs, a.lost)
	if missing := 2*s.Starts - int64(a.forks+a.execs); missing > int64(a.lost) {
		t.Errorf("%d starts are on record %d times, %d events counted as lost", s.Starts, a.forks+a.execs, a.lost)
	}
}

// slow takes its time with every event.
type slow struct{ *procevent.Connector }

func (s slow) Run(ctx context.Context, emit func(*entry.Event)) error {
	return s.Connector.Run(ctx, func(e *entry.Event) {
		for begun := time.Now(); time.Since(begun) < 200*time.Microsecond; {
		}
		emit(e)
	})
}

// TestStormOverhead says how much longer a storm takes because it is recorded.
func TestStormOverhead(t *testing.T) {
	needEvents(t)
	if os.Getenv(soakEnv) == "" {
		t.Skip("measures only: set " + soakEnv)
	}
	program := tiny(t, false)
	var with, without []float64
	for range 5 {
		without = append(without, float64(runStorm(t, program, 3000, 0).NS))
		rg := openRing(t)
		_, stop := start(t, recorder.Config{Ring: rg})
		beating(t, rg)
		with = append(with, float64(runStorm(t, program, 3000, 0).NS))
		stop()
	}
	t.Logf("3000 starts: %.0f ms without, %.0f ms with the recorder, ratio of medians %.3f", median(without)/1e6, median(with)/1e6, median(with)/median(without))
}

func TestOutsideTheInitialNamespacesProcessEventsAreUnsupported(t *testing.T) {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- nil
			return
		}
		c, err := procevent.Open(procevent.Config{})
		if err == nil {
			c.Close()
		}
		done <- errors.Join(err, errUnshared)
	}()
	err := <-done
	if err == nil {
		t.Skip("needs root: cannot make a network namespace")
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("opened, or refused for another reason: %v", err)
	}
}

var errUnshared = errors.New("in a network namespace of its own")

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// The tables of a real system are rebuilt from its ring: a crowd is in them as long as it
// is there, and the recorder's own counts agree.
func TestRebuildsTheRealSystem(t *testing.T) {
	const processes, connections = 30, 20
	rg := openRing(t)
	r, stop := start(t, recorder.Config{Ring: rg, Every: 100 * time.Millisecond})
	beating(t, rg)
	rebuild := func() (s state.State, crowd, sockets int) {
		t.Helper()
		if err := r.Flush(); err != nil {
			t.Fatal(err)
		}
		s, err := state.At(rg.Read(t.Context(), ring.ReadFrom{}), rg.Stats().NextSeq)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Processes {
			if p.Comm == "tiny" && strings.HasSuffix(p.Cmdline, "\x00wait\x00") {
				crowd++
			}
		}
		for _, c := range s.Connections {
			if p := s.Processes[c.PID]; c.Remote.IsValid() && strings.Contains(p.Cmdline, "\x00"+strconv.Itoa(connections)+"\x00") {
				sockets++
			}
		}
		return s, crowd, sockets
	}
	before, _, _ := rebuild()
	if p, ok := before.Processes[os.Getpid()]; !ok || p.PPID != int32(os.Getppid()) || p.Cmdline == "" {
		t.Errorf("this process: %+v", p)
	}
	end := runCrowd(t, processes, connections)
	until(t, "the crowd is in the tables", func() bool {
		_, crowd, sockets := rebuild()
		return crowd == processes && sockets >= connections
	})
	end()
	until(t, "the crowd is gone", func() bool {
		_, crowd, sockets := rebuild()
		return crowd == 0 && sockets == 0
	})
	stop()
	s, _, _ := rebuild()
	for _, g := range s.Gaps {
		if strings.HasPrefix(g.Detail, "the recorder counted") {
			t.Errorf("entry %d: %s", g.Seq, g.Detail)
		}
	}
}
