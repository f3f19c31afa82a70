// Package recorder is the flight recorder: what started, ended, connected and
// disconnected goes into a ring on disk as it happens, with a heartbeat in every
// interval, so that the minutes before an incident, a crash or a power loss are on
// record. It knows nothing of the ring's files, nor of acquisitions.
//
// Everything goes through one memory: the sources tell what happens, and from time to
// time /proc is compared with what they told. What is lost on the way becomes a gap on
// record. The recorder's own time is bounded: what would cost more than one hundredth
// of a core, averaged, is left undone and marked.
package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/procevent"
	"hozen/agent/internal/recorder/ring"
	"hozen/agent/internal/recorder/sockevent"
	"hozen/agent/internal/recorder/state"
	"hozen/internal/artifact"
)

// The defaults of [Config].
const (
	DefaultEvery     = 10 * time.Second
	DefaultFullEvery = 30
	DefaultPollEvery = time.Second
)

const (
	// linger is how long an event waits for others to share an entry with.
	linger = time.Second
	// batchRoom is when they wait no longer.
	batchRoom = 16 << 10
	// waitRoom is how much may wait for the disk before sources do; the ring's buffer is
	// some times larger.
	waitRoom = 128 << 10
	// diskPatience is how long they wait.
	diskPatience = time.Second / 2
	// textRoom is how many bytes of command lines and executables of one interval are kept
	// whole. Who starts programs with long ones again and again would else push the hours
	// before out of the ring within seconds; the cut ones take some ten times as long.
	textRoom = 1 << 20
	// reopenAfter is how long to wait before a source that broke is tried again.
	reopenAfter = time.Minute
)

// Ring takes entries. [ring.Ring] is one.
type Ring interface {
	Append(k ring.Kind, at artifact.Instant, payload []byte) error
	Flush() error
	Wake() <-chan struct{}
}

// Source tells events until ctx ends.
type Source interface {
	Run(ctx context.Context, emit func(*entry.Event)) error
	Close() error
}

// Sockets is a [Source] that knows what is open.
type Sockets interface {
	Source
	Count() int
	List(emit func(*entry.Event))
}

// Processes reads what /proc says.
type Processes = procevent.Processes

// Sources opens what the recorder listens to.
type Sources struct {
	// Events tells starts and ends of processes. Optional: the kernel's process events.
	Events func(budget *Budget) (Source, error)
	// Processes reads /proc. Optional: the system's.
	Processes func() (Processes, error)
	// Sockets tells connections. Optional: those of the network namespace of whoever
	// calls Run.
	Sockets func(budget *Budget) (Sockets, error)
}

// Config is what a Recorder needs.
type Config struct {
	// Ring takes the entries. It stays the caller's to close.
	Ring Ring
	// Clock reads the clocks.
	Clock func() artifact.Instant
	// Every is the interval of heartbeats, after each of which everything is on disk: so
	// much and the duration of one write is lost at a power loss. Optional: [DefaultEvery].
	Every time.Duration
	// FullEvery is after how many intervals everything that runs and is connected is
	// looked at and listed again. What happens between two lists is on record too, so
	// that the tables can be rebuilt at every heartbeat, see package state; after a storm
	// or a loss a list comes sooner. Optional: [DefaultFullEvery].
	FullEvery int
	// PollEvery is how often /proc is looked at where the kernel does not tell processes.
	// Optional: [DefaultPollEvery].
	PollEvery time.Duration
	// Root is where /proc is looked up. Optional: "/".
	Root string
	// Sources are what is listened to. Optional.
	Sources Sources
	// Log hears of a ring that cannot be written, once until it can again.
	Log *slog.Logger
}

// Recorder records. Make one with [New].
type Recorder struct {
	cfg    Config
	budget *Budget
	flush  chan struct{}

	mu      sync.Mutex
	batch   []byte
	at      artifact.Instant // of the batch
	timer   *time.Timer      // seals the batch; nil when it is empty
	table   table
	doubt   bool // the kernel's events were lost: what the table says may be wrong
	listed  int  // bytes of events since the last list
	texts   int  // bytes of texts in this interval
	told    bool // the kernel tells processes
	sockets Sockets
	waiting int           // bytes that the ring has and the disk has not
	flushed chan struct{} // closed and made anew when that changed
	patient bool          // the last write was well and quick: it is worth waiting for

	// Run's own.
	reader  *procevent.Guard
	execs   *procevent.Guard // of the kernel's process events; outlives a source that breaks
	reopen  time.Time
	ticks   int
	heavy   int // intervals between two sweeps
	marked  clocks
	spentNS int64
	lastErr string
}

// clocks are three clocks read together.
type clocks struct {
	at   artifact.Instant
	mono time.Time
}

// New prepares a recorder; [Recorder.Run] records.
func New(cfg Config) (*Recorder, error) {
	if cfg.Ring == nil || cfg.Clock == nil {
		return nil, errors.New("recorder without a ring or a clock")
	}
	if cfg.Every <= 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.FullEvery <= 0 {
		cfg.FullEvery = DefaultFullEvery
	}
	if cfg.PollEvery <= 0 {
		cfg.PollEvery = DefaultPollEvery
	}
	if cfg.Root == "" {
		cfg.Root = "/"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{table: table{procs: make(state.Processes)}, cfg: cfg, budget: NewBudget(), flush: make(chan struct{}, 1), heavy: 1, flushed: make(chan struct{}), patient: true}
	r.sources()
	return r, nil
}

// sources fills in the system's own.
func (r *Recorder) sources() {
	s := &r.cfg.Sources
	if s.Events == nil {
		s.Events = func(b *Budget) (Source, error) {
			return sourceOf(procevent.Open(procevent.Config{Root: r.cfg.Root, Budget: b, Guard: r.execs}))
		}
	}
	if s.Processes == nil {
		s.Processes = func() (Processes, error) {
			p, err := procevent.NewReader(r.cfg.Root)
			if err != nil {
				return nil, err
			}
			return p, nil
		}
	}
	if s.Sockets == nil {
		s.Sockets = func(b *Budget) (Sockets, error) { return r.openSockets(b) }
	}
}

func sourceOf(c *procevent.Connector, err error) (Source, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// watched are sockets and the reader that finds their holders.
type watched struct {
	*sockevent.Watcher
	owners *procevent.Reader
}

func (w watched) Close() error { return errors.Join(w.Watcher.Close(), w.owners.Close()) }

func (r *Recorder) openSockets(b *Budget) (Sockets, error) {
	owners, err := procevent.NewReader(r.cfg.Root)
	if err != nil {
		return nil, err
	}
	w, err := sockevent.Open(sockevent.Config{
		Root: r.cfg.Root, Boot: func() int64 { return r.cfg.Clock().BootNS }, Budget: b, Owners: owners,
	})
	if err != nil {
		return nil, errors.Join(err, owners.Close())
	}
	return watched{w, owners}, nil
}

// Mark puts something of the caller's on record, such as a shutdown that was noticed,
// and asks for it to be on disk soon; [Recorder.Flush] waits for that. At most
// [entry.MaxMark] bytes of detail are kept. It may be called from any goroutine, before
// Run too.
func (r *Recorder) Mark(name string, detail []byte) {
	r.mu.Lock()
	r.seal()
	now := r.cfg.Clock()
	e := entry.Event{Type: entry.Mark, Source: entry.SourceRecorder, BootNS: now.BootNS, UID: -1, EUID: -1, Name: name, Detail: detail}
	r.append(entry.KindMark, now, entry.Append(nil, now.BootNS, &e))
	r.mu.Unlock()
	r.wantFlush()
}

// Flush puts everything that was told so far on disk.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	r.seal()
	n := r.waiting
	r.mu.Unlock()
	err := r.cfg.Ring.Flush()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.patient = err == nil; r.patient {
		r.waiting -= n
	}
	close(r.flushed)
	r.flushed = make(chan struct{})
	if err != nil {
		return fmt.Errorf("write flight record: %w", err)
	}
	return nil
}

// emit takes one event of a source.
func (r *Recorder) emit(e *entry.Event) {
	r.mu.Lock()
	r.shorten(e)
	r.table.procs.Apply(e)
	if e.Cookie == 0 { // not a connection, whose holder may have ended
		delete(r.table.missed, e.PID)
	}
	if e.Type == entry.Gap && e.Source == entry.SourceConnector && e.Lost > 0 {
		r.doubt = true
	}
	r.put(e)
	full := r.waiting >= waitRoom
	r.mu.Unlock()
	if full {
		r.wait()
	}
}

// shorten cuts long texts when many came in this interval, and says so in e.
func (r *Recorder) shorten(e *entry.Event) {
	if e.Type != entry.ProcessStarted {
		return
	}
	if r.texts += len(e.Cmdline) + len(e.Exe); r.texts <= textRoom {
		return
	}
	if len(e.Cmdline) > state.Cmdline {
		e.Cmdline, e.CmdlineCut = e.Cmdline[:state.Cmdline], true
	}
	if len(e.Exe) > state.Cmdline { // half a path is none
		e.Exe = nil
		e.Unread |= entry.UnreadExe | entry.UnreadBudget
	}
}

// wait waits a little when more came than the disk takes: the kernel's queue is the
// larger one, and counts what it loses.
func (r *Recorder) wait() {
	r.mu.Lock()
	full, flushed := r.patient && r.waiting >= waitRoom, r.flushed
	r.mu.Unlock()
	if !full {
		return
	}
	r.wantFlush()
	t := time.NewTimer(diskPatience)
	defer t.Stop()
	select {
	case <-flushed:
	case <-t.C:
		r.mu.Lock()
		r.patient = false // until a write succeeds
		r.mu.Unlock()
	}
}

// put adds e to the batch.
func (r *Recorder) put(e *entry.Event) {
	if r.timer == nil {
		r.at = r.cfg.Clock()
		r.timer = time.AfterFunc(linger, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.seal()
		})
	}
	if e.BootNS == 0 {
		e.BootNS = r.cfg.Clock().BootNS
	}
	r.batch = entry.Append(r.batch, r.at.BootNS, e)
	if len(r.batch) >= batchRoom {
		r.seal()
	}
}

// seal hands the batch to the ring.
func (r *Recorder) seal() {
	if r.timer == nil {
		return
	}
	r.timer.Stop()
	r.timer = nil
	r.listed += len(r.batch)
	r.append(entry.KindEvents, r.at, r.batch)
	r.batch = r.batch[:0]
}

// append hands one entry to the ring. A full buffer is the ring's to put on record.
func (r *Recorder) append(kind ring.Kind, at artifact.Instant, payload []byte) {
	r.waiting += len(payload)
	if err := r.cfg.Ring.Append(kind, at, payload); err != nil && !errors.Is(err, ring.ErrBufferFull) {
		r.trouble("flight record does not take an entry", err)
	}
}

// trouble logs err once until things are well again.
func (r *Recorder) trouble(what string, err error) {
	if text := err.Error(); text != r.lastErr {
		r.lastErr = text
		r.cfg.Log.Error(what, slog.String("error", text))
	}
}

func (r *Recorder) wantFlush() {
	select {
	case r.flush <- struct{}{}:
	default: // asked for already
	}
}
