package recorder_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"hozen/agent/internal/recorder"
	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/ring"
	"hozen/internal/artifact"
)

// kept is a ring in memory.
type kept struct {
	mu      sync.Mutex
	entries []ring.Entry
	onDisk  int // so many of entries were flushed
	flushes int
	err     error
	wake    chan struct{}
	waiting int // bytes that were not flushed
	most    int // of these at any time
	hanging chan struct{}
}

// hang makes Flush hang, or lets it go.
func (k *kept) hang(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if on {
		k.hanging = make(chan struct{})
	} else {
		close(k.hanging)
		k.hanging = nil
	}
}

func (k *kept) Append(kind ring.Kind, at artifact.Instant, payload []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(payload) == 0 || len(payload) > ring.MaxPayload || kind == ring.KindGap {
		return ring.ErrEntry
	}
	k.entries = append(k.entries, ring.Entry{Seq: uint64(len(k.entries) + 1), At: at, Kind: kind, Payload: slices.Clone(payload)})
	k.waiting += len(payload)
	k.most = max(k.most, k.waiting)
	return nil
}

func (k *kept) Flush() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if hanging := k.hanging; hanging != nil {
		k.mu.Unlock()
		<-hanging
		k.mu.Lock()
	}
	k.waiting = 0
	k.flushes++
	if k.err == nil {
		k.onDisk = len(k.entries)
	}
	return k.err
}

func (k *kept) Wake() <-chan struct{} { return k.wake }

// told is an event and where it stands.
type told struct {
	entry.Event
	kind ring.Kind
	at   artifact.Instant
	seq  uint64
}

func (k *kept) events(t *testing.T) (all []told) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.entries {
		for v, err := range entry.Events(e.Payload, e.At.BootNS) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, told{v, e.Kind, e.At, e.Seq})
		}
	}
	return all
}

func (k *kept) of(t *testing.T, types ...entry.Type) (all []told) {
	t.Helper()
	return slices.DeleteFunc(k.events(t), func(e told) bool { return !slices.Contains(types, e.Type) })
}

// machine is a /proc and a kernel that tells of it.
type machine struct {
	mu     sync.Mutex
	procs  map[int]uint64 // start by number
	begun  time.Time
	offset time.Duration // of the wall clock
	slept  time.Duration
	slow   time.Duration // what listing takes
	stuck  map[int]bool  // never answers
	emit   func(*entry.Event)
	broken chan error
	refuse error // of opening events
	opened int
}

func newMachine(pids ...int) *machine {
	m := &machine{procs: map[int]uint64{}, begun: time.Now(), stuck: map[int]bool{}}
	for _, pid := range pids {
		m.procs[pid] = uint64(pid) * 10
	}
	return m
}

func (m *machine) clock() artifact.Instant {
	m.mu.Lock()
	defer m.mu.Unlock()
	return artifact.Instant{Wall: time.Now().Add(m.offset + m.slept).UTC(), BootNS: int64(time.Hour + time.Since(m.begun) + m.slept)}
}

func (m *machine) set(pid int, start uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if start == 0 {
		delete(m.procs, pid)
	} else {
		m.procs[pid] = start
	}
}

func (m *machine) tell(e entry.Event) {
	m.mu.Lock()
	emit := m.emit
	m.mu.Unlock()
	emit(&e)
}

func (m *machine) PIDs() ([]int, error) {
	<-time.After(m.slow)
	m.mu.Lock()
	defer m.mu.Unlock()
	var pids []int
	for pid := range m.procs {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids, nil
}

func (m *machine) Read(e *entry.Event) {
	if m.stuck[e.PID] {
		<-m.broken
	}
	if m.Stat(e); e.Unread == 0 {
		e.Exe, e.Cmdline = []byte("/bin/p"), []byte("p\x00")
	} else {
		e.Unread |= entry.UnreadGone
	}
}

func (m *machine) Plain(e *entry.Event) {
	if m.Stat(e); e.Unread == 0 {
		e.Exe = []byte("/bin/p")
	} else {
		e.Unread |= entry.UnreadGone
	}
}

func (m *machine) Stat(e *entry.Event) byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	start, ok := m.procs[e.PID]
	if !ok {
		e.Unread |= entry.UnreadStat
		return 0
	}
	e.StartTicks, e.PPID, e.Comm = start, 1, []byte("p")
	return 'S'
}

func (m *machine) Close() error { return nil }

// events are the machine as a source.
type events struct{ m *machine }

func (s events) Run(ctx context.Context, emit func(*entry.Event)) error {
	s.m.mu.Lock()
	s.m.emit = emit
	s.m.opened++
	s.m.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-s.m.broken:
		return err
	}
}
func (events) Close() error { return nil }

func (m *machine) sources() recorder.Sources {
	return recorder.Sources{
		Events: func(*recorder.Budget) (recorder.Source, error) {
			if m.refuse != nil {
				return nil, m.refuse
			}
			return events{m}, nil
		},
		Processes: func() (recorder.Processes, error) { return m, nil },
		Sockets:   func(*recorder.Budget) (recorder.Sockets, error) { return nil, errors.ErrUnsupported },
	}
}

// run records m into k and returns a function that ends it.
func run(t *testing.T, m *machine, k *kept) (*recorder.Recorder, func()) {
	t.Helper()
	r, err := recorder.New(recorder.Config{Ring: k, Clock: m.clock, Sources: m.sources()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, func() {
		t.Helper()
		cancel()
		if err := <-done; !errors.Is(err, k.err) {
			t.Errorf("run: %v", err)
		}
	}
}
