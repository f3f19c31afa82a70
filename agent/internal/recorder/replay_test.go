package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/recorder"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
	"hozen/agent/internal/recorder/state"
	"hozen/internal/artifact"
)

// world is a PC whose processes and connections are known to the test: what it does is
// told to the recorder in the same moment, unless it is lost.
type world struct {
	mu     sync.Mutex
	begun  time.Time
	procs  map[int]state.Process
	conns  map[uint64]entry.Event
	procE  func(*entry.Event)
	sockE  func(*entry.Event)
	untold bool // the kernel does not tell processes
	ticks  uint64
}

func (w *world) clock() artifact.Instant {
	return artifact.Instant{Wall: time.Now().UTC(), BootNS: int64(time.Hour + time.Since(w.begun))}
}

func (w *world) PIDs() ([]int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.procs)), nil
}

func (w *world) Read(e *entry.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.procs[e.PID]
	if !ok {
		e.Unread |= entry.UnreadGone | entry.UnreadExe | entry.UnreadCmdline | entry.UnreadStat | entry.UnreadIDs
		return
	}
	e.StartTicks, e.PPID, e.Comm, e.Exe, e.Cmdline, e.UID, e.EUID = p.Start, int(p.PPID), []byte(p.Comm), []byte(p.Exe), []byte(p.Cmdline), p.UID, p.EUID
}
func (w *world) Plain(e *entry.Event)     { w.Read(e) }
func (w *world) Stat(e *entry.Event) byte { w.Read(e); return 'S' }
func (w *world) Close() error             { return nil }

type worldEvents struct{ w *world }

func (s worldEvents) Run(ctx context.Context, emit func(*entry.Event)) error {
	s.w.mu.Lock()
	s.w.procE = emit
	s.w.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}
func (worldEvents) Close() error { return nil }

type worldSockets struct{ w *world }

func (s worldSockets) Run(ctx context.Context, emit func(*entry.Event)) error {
	s.w.mu.Lock()
	s.w.sockE = emit
	s.w.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}
func (worldSockets) Close() error { return nil }
func (s worldSockets) Count() int {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return len(s.w.conns)
}
func (s worldSockets) List(emit func(*entry.Event)) {
	s.w.mu.Lock()
	all := slices.Collect(maps.Values(s.w.conns))
	s.w.mu.Unlock()
	for _, e := range all {
		e.Type = entry.ConnectionListed
		emit(&e)
	}
}

// shown is what must be rebuilt of a process. When it started is known only after
// somebody looked.
func shown(p state.Process) string {
	return fmt.Sprint(p.PPID, p.UID, p.EUID, p.Comm, p.Exe, p.Cmdline)
}

// do lets one thing happen, told or lost, while nothing else does.
func (w *world) do(rnd *rand.Rand, lost bool) {
	synctest.Wait()
	w.mu.Lock()
	w.ticks++
	pids := slices.Sorted(maps.Keys(w.procs))
	pid := pids[rnd.IntN(len(pids))]
	p := w.procs[pid]
	e := entry.Event{Source: entry.SourceConnector, PID: pid, UID: -1, EUID: -1, BootNS: w.clock().BootNS}
	told := w.procE
	switch what := rnd.IntN(10); {
	case what < 3 || len(pids) < 5:
		child := 100 + rnd.IntN(400)
		if _, lives := w.procs[child]; lives {
			break
		}
		p.Start, p.PPID = w.ticks, int32(pid)
		w.procs[child] = p
		e.Type, e.How, e.PPID, e.PID = entry.ProcessStarted, entry.HowFork, pid, child
	case what < 5:
		if pid == 1 {
			break
		}
		delete(w.procs, pid)
		e.Type, e.HasStatus = entry.ProcessEnded, true
	case what < 7:
		p.Comm, p.Exe, p.Cmdline = fmt.Sprint("c", w.ticks), fmt.Sprint("/bin/c", w.ticks), fmt.Sprint("c\x00", strings.Repeat("x", rnd.IntN(200)))
		w.procs[pid] = p
		e.Type, e.How, e.StartTicks, e.PPID, e.Comm, e.Exe, e.Cmdline, e.UID, e.EUID = entry.ProcessStarted, entry.HowExec, p.Start, int(p.PPID), []byte(p.Comm), []byte(p.Exe), []byte(p.Cmdline), p.UID, p.EUID
	case what < 8:
		p.UID, p.EUID = int64(rnd.IntN(3)), int64(rnd.IntN(3))
		w.procs[pid] = p
		e.Type, e.UID, e.EUID = entry.ProcessIDs, p.UID, p.EUID
	default:
		told, lost = w.sockE, false
		e.Source, e.PID = entry.SourceSockDiag, 0
		if cookies := slices.Sorted(maps.Keys(w.conns)); len(cookies) > 0 && rnd.IntN(2) == 0 {
			e = w.conns[cookies[rnd.IntN(len(cookies))]]
			delete(w.conns, e.Cookie)
			e.Type = entry.ConnectionClosed
			break
		}
		e.Type, e.Cookie, e.Proto, e.State = entry.ConnectionOpened, w.ticks, 6, 1
		e.Local, e.Remote = netip.MustParseAddrPort("192.0.2.1:50000"), netip.MustParseAddrPort("192.0.2.2:443")
		e.PID, e.UID, e.Inode = pid, p.UID, 1000+w.ticks
		w.conns[e.Cookie] = e
	}
	w.mu.Unlock()
	switch {
	case e.Type == 0 || told == nil:
	case lost:
		told(&entry.Event{Type: entry.Gap, Source: entry.SourceConnector, Lost: 1, UID: -1, EUID: -1})
	default:
		told(&e)
	}
}

// truth is what ran and was connected when an entry was written.
type truth struct {
	procs map[int]state.Process
	conns map[uint64]entry.Event
}

// witness is a ring that notes the truth with each entry.
type witness struct {
	kept
	w     *world
	truth []truth
}

func (k *witness) Append(kind ring.Kind, at artifact.Instant, payload []byte) error {
	k.w.mu.Lock()
	k.truth = append(k.truth, truth{maps.Clone(k.w.procs), maps.Clone(k.w.conns)})
	k.w.mu.Unlock()
	return k.kept.Append(kind, at, payload)
}

func (w *world) record(t *testing.T, k *witness) (stop func()) {
	t.Helper()
	r, err := recorder.New(recorder.Config{Ring: k, Clock: w.clock, Sources: recorder.Sources{
		Events: func(*recorder.Budget) (recorder.Source, error) {
			if w.untold {
				return nil, errors.ErrUnsupported
			}
			return worldEvents{w}, nil
		},
		Processes: func() (recorder.Processes, error) { return w, nil },
		Sockets:   func(*recorder.Budget) (recorder.Sockets, error) { return worldSockets{w}, nil },
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func newWorld(n int) *world {
	w := &world{begun: time.Now(), procs: map[int]state.Process{}, conns: map[uint64]entry.Event{}}
	for pid := 1; pid <= n; pid++ {
		w.procs[pid] = state.Process{Start: uint64(pid), Comm: "init", Exe: "/sbin/init", Cmdline: strings.Repeat("i", 250)}
	}
	return w
}

// differs says how a rebuilt state differs from the truth.
func differs(s *state.State, want truth) string {
	for pid, p := range want.procs {
		if got, ok := s.Processes[pid]; !ok || shown(got) != shown(p) || got.Start != 0 && got.Start != p.Start {
			return fmt.Sprintf("process %d: got %+v (%t), want %+v", pid, got, ok, p)
		}
	}
	for cookie, c := range want.conns {
		if got, ok := s.Connections[cookie]; !ok || got.PID != c.PID || got.UID != c.UID || got.Remote != c.Remote || got.State != c.State || got.Inode != c.Inode {
			return fmt.Sprintf("connection %d: got %+v (%t), want %+v", cookie, got, ok, c)
		}
	}
	if len(s.Processes) != len(want.procs) || len(s.Connections) != len(want.conns) {
		return fmt.Sprintf("%d processes and %d connections, want %d and %d", len(s.Processes), len(s.Connections), len(want.procs), len(want.conns))
	}
	return ""
}

// Whatever is left of the ring: from the first list on, the tables at every entry are
// what ran and was connected then, or a gap says that they may not be.
func TestTablesAreRebuiltAtEveryEntry(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(300) // a list of several entries
			k := &witness{w: w}
			stop := w.record(t, k)
			time.Sleep(time.Second / 2)
			synctest.Wait()
			losing := seed%2 == 1
			for range 700 {
				w.do(rnd, losing && rnd.IntN(40) == 0)
				if rnd.IntN(2) == 0 {
					time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
				}
			}
			// Calm: what was lost is found.
			time.Sleep(recorder.DefaultFullEvery*recorder.DefaultEvery + 3*recorder.DefaultEvery)
			stop()
			for _, from := range []int{0, rnd.IntN(len(k.entries) / 2), len(k.entries) / 2} {
				var r state.Replay
				rebuilt, gaps := 0, 0
				for i := from; i < len(k.entries); i++ {
					r.Entry(&k.entries[i])
					s, ok := r.State()
					if !ok {
						continue
					}
					rebuilt++
					if d := differs(&s, k.truth[i]); len(s.Gaps) > 0 {
						gaps++
					} else if d != "" {
						t.Fatalf("seed %d, from %d at %d: %s", seed, from, i, d)
					}
				}
				s, _ := r.State()
				if d := differs(&s, k.truth[len(k.truth)-1]); d != "" || len(s.Gaps) > 0 {
					t.Errorf("seed %d, at the end: %d gaps, %s", seed, len(s.Gaps), d)
				}
				if rebuilt == 0 || from == 0 && rebuilt < len(k.entries)-10 || !losing && gaps > 0 || losing && from == 0 && gaps == 0 {
					t.Errorf("seed %d: %d of %d entries rebuilt, %d of them with gaps", seed, rebuilt, len(k.entries)-from, gaps)
				}
			}
			// One instant, as a reader asks for it.
			at := len(k.entries) - 1
			one, err := state.At(func(yield func(ring.Entry, error) bool) {
				for _, e := range k.entries {
					if !yield(e, nil) {
						return
					}
				}
			}, k.entries[at].Seq)
			if d := differs(&one, k.truth[at]); err != nil || d != "" || one.Seq != k.entries[at].Seq {
				t.Errorf("entry %d: %v, %s", at, err, d)
			}
		})
	}
}

// Where the kernel tells nothing, the tables at every heartbeat are what ran then, a
// process that became another program included.
func TestTablesAreRebuiltAtHeartbeatsWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(7, 7))
		w := newWorld(20)
		w.untold = true
		k := &witness{w: w}
		stop := w.record(t, k)
		time.Sleep(time.Second / 2)
		for range 600 {
			w.mu.Lock()
			uids := maps.Clone(w.procs)
			w.mu.Unlock()
			w.do(rnd, false)
			w.mu.Lock()
			for pid, p := range uids { // who changes its user alone shows at the next list only
				if now, lives := w.procs[pid]; lives && now.Exe == p.Exe {
					now.UID, now.EUID = p.UID, p.EUID
					w.procs[pid] = now
				}
			}
			w.mu.Unlock()
			time.Sleep(time.Duration(rnd.IntN(700))*time.Millisecond + time.Microsecond)
		}
		stop()
		var r state.Replay
		beats := 0
		for i := range k.entries {
			if r.Entry(&k.entries[i]); k.entries[i].Kind != entry.KindHeartbeat || i == len(k.entries)-1 {
				continue
			}
			beats++
			s, ok := r.State()
			if d := differs(&s, k.truth[i]); !ok || d != "" {
				t.Fatalf("heartbeat %d: %s", beats, d)
			}
		}
		if beats < 15 {
			t.Errorf("%d heartbeats", beats)
		}
	})
}

// After a loss everything is compared and listed soon, not only when the next one is due.
func TestALossIsFollowedByAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(5)
		k := &witness{w: w}
		stop := w.record(t, k)
		time.Sleep(time.Second)
		synctest.Wait()
		w.procE(&entry.Event{Type: entry.Gap, Source: entry.SourceConnector, Lost: 3, UID: -1, EUID: -1})
		time.Sleep(2 * recorder.DefaultEvery)
		stop()
		if lists := k.of(t, entry.Snapshot); len(lists) != 2 || lists[1].Source != entry.SourceProcFS {
			t.Errorf("%d lists: %+v", len(lists), lists)
		}
	})
}

// Long command lines, started again and again, are cut and say so.
func TestAStormOfTextIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(5)
		k := &witness{w: w}
		stop := w.record(t, k)
		time.Sleep(time.Second)
		synctest.Wait()
		exec := func(pid int) {
			w.procE(&entry.Event{Type: entry.ProcessStarted, How: entry.HowExec, PID: pid, Exe: make([]byte, 1000), Cmdline: make([]byte, entry.MaxCmdline), UID: -1, EUID: -1})
		}
		for pid := range 1000 {
			exec(1000 + pid)
		}
		time.Sleep(recorder.DefaultEvery)
		exec(5000)
		stop()
		whole, cut := 0, 0
		for _, e := range k.of(t, entry.ProcessStarted) {
			switch {
			case len(e.Cmdline) == entry.MaxCmdline && len(e.Exe) == 1000 && !e.CmdlineCut:
				whole++
			case len(e.Cmdline) == state.Cmdline && e.CmdlineCut && e.Unread == entry.UnreadExe|entry.UnreadBudget:
				cut++
			default:
				t.Fatalf("%d bytes of command line, cut %t, unread %b", len(e.Cmdline), e.CmdlineCut, e.Unread)
			}
			if e.PID == 5000 && e.CmdlineCut {
				t.Error("cut in the next interval")
			}
		}
		if whole+cut != 1001 || whole < 200 || whole > 210 {
			t.Errorf("%d whole, %d cut", whole, cut)
		}
	})
}

// A storm that fills the ring does not leave it without a list: what ran before it and
// still runs can be named from its newest part alone.
func TestAStormDoesNotLeaveTheRingWithoutAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(20)
		w.procs[7] = state.Process{Start: 7, Comm: "implant", Exe: "/tmp/implant", Cmdline: "implant"}
		k := &witness{w: w}
		stop := w.record(t, k)
		time.Sleep(time.Second)
		synctest.Wait()
		for range 6 {
			for i := range 10_000 {
				e := entry.Event{Type: entry.ProcessStarted, How: entry.HowFork, PPID: 1, PID: 1000 + i, UID: -1, EUID: -1}
				w.procE(&e)
				w.procE(&entry.Event{Type: entry.ProcessStarted, How: entry.HowExec, PID: e.PID, Exe: []byte("/bin/true"), Cmdline: make([]byte, 100), UID: -1, EUID: -1})
				w.procE(&entry.Event{Type: entry.ProcessEnded, PID: e.PID, UID: -1, EUID: -1})
			}
			time.Sleep(recorder.DefaultEvery)
		}
		stop()
		// The newest two and a half MiB of events are left.
		left, size := len(k.entries), 0
		for size < 5<<19 {
			left--
			size += len(k.entries[left].Payload)
		}
		var r state.Replay
		for i := left; i < len(k.entries); i++ {
			r.Entry(&k.entries[i])
		}
		s, ok := r.State()
		if !ok || s.Processes[7].Exe != "/tmp/implant" || len(s.Processes) != 20 {
			t.Errorf("list %t; %d processes, %+v", ok, len(s.Processes), s.Processes[7])
		}
	})
}
