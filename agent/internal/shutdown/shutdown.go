// Package shutdown is the plan for the moments before the PC goes down or to sleep: one
// capture per going-down, whoever gives notice, sealed within the time there is, and the
// PC let go in every case. It knows nothing of how a notice comes, how the PC is held,
// or what is captured.
package shutdown

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/durable"
)

// The values of Notice.Event.
const (
	Down        = "down"        // the PC goes down
	Cancelled   = "cancelled"   // it does not after all
	Scheduled   = "scheduled"   // it will, at Notice.For
	Unscheduled = "unscheduled" // it won't
	Sleep       = "sleep"       // it is suspended or hibernates
	Resumed     = "resumed"     // it woke up
	Logoff      = "logoff"      // somebody signs out, and what they ran ends
)

// The values of Notice.Source.
const (
	SourceLogind    = "logind"
	SourceCompanion = "companion"
	SourcePreserve  = "preserve"
	// Of Windows.
	SourceSession   = "session"   // the agent's helper in a session that ends
	SourceEventLog  = "event_log" // event 1074 of User32: somebody asked for it
	SourceService   = "service"   // the service control manager
	SourceRehearsal = "rehearsal" // an administrator, for a rehearsal: the PC goes on
)

// The keys of [Config].Tell.
const (
	TellCapturing = "shutdown.capturing" // evidence is being kept before the PC goes down
	TellCaptured  = "shutdown.captured"  // it is kept
)

// HeldAtMost is the promise of how long the PC is held without an open incident.
const HeldAtMost = 500 * time.Millisecond

// Times of a going-down without an open incident, which keep that promise.
const (
	quickHold    = 470 * time.Millisecond // the PC is let go, whatever hangs
	quickSeal    = 430 * time.Millisecond // evidence is sealed
	quickReserve = 130 * time.Millisecond // what sealing has of that
)

const (
	defaultMaxHold = 20 * time.Second
	defaultAllowed = 5 * time.Second // InhibitDelayMaxSec=, logind.conf(5)
	defaultFresh   = time.Minute
	// earlyEvery and earlyLeast bound the captures for a scheduled shutdown.
	earlyEvery = time.Minute
	earlyLeast = 5 * time.Second
	// stillHere is how long after a notice the PC can't be going down any more.
	stillHere = 15 * time.Minute
	// Every program in a session can tell the agent's helper there that the session ends. So
	// many captures that nothing else confirmed may come of that.
	helperDowns     = 3
	helperDownsTime = time.Hour
	// maxNotices is how many notices are kept.
	maxNotices = 64
)

// Config is what a Plan is made of. Every func is called with nothing locked; one that
// hangs or panics costs what it was for and never holds the PC.
type Config struct {
	// Dir is where shutdown.json is written, and the notes of earlier boots are kept; it is
	// made when absent.
	Dir string
	// BootID names this boot, see [artifact.Host].
	BootID string
	// Acquire runs an acquisition and seals it: Run of an [acquire.Runner].
	Acquire func(ctx context.Context, o acquire.Order) (acquire.Result, error)
	// Profile names the profile to acquire. Default "flash" for both.
	Profile func(incidentOpen bool) string
	// Incident says whether an incident that concerns this PC is open, and which one where
	// it has an identifier. Default: none is.
	Incident func() (incidentID string, open bool)
	// Allowed is how long the system lets itself be held from the notice on; 0 when that
	// is not known, which counts as 5 s. It is asked with an open incident only. Optional.
	Allowed func() time.Duration
	// MaxHold is the most that the agent holds the PC with an open incident. Default 20 s.
	MaxHold time.Duration
	// Fresh is how old sealed evidence may be for another notice of the same going-down to
	// be content with it. Default one minute.
	Fresh time.Duration
	// Release lets the PC go. It is called at least once per going-down or sleep, and may
	// be called without anything being held. Optional.
	Release func()
	// Tell tells the person at the PC, by the key of a text. Only with an open incident.
	// Optional.
	Tell func(ctx context.Context, key string)
	// Uploaded returns when the collector has confirmed the acquisition, or when ctx ends.
	// Only with an open incident. Optional: then nothing is waited for.
	Uploaded func(ctx context.Context, acquisitionID string) error
	// Mark puts a notice into the flight recorder. Optional.
	Mark func(ctx context.Context, n record.ShutdownNotice)
	// Clock reads both clocks. Default [acquire.SystemClock].
	Clock func() artifact.Instant
	// Log hears how it went. Optional.
	Log *slog.Logger
}

// Notice is one thing that tells of a shutdown or a suspend.
type Notice struct {
	// ShutdownNotice says what; At and BootNS are filled in when they are zero. ByUID is
	// -1 when it is not known.
	record.ShutdownNotice
	// Received is when the notice came, with the monotonic clock; what the PC is held is
	// counted from there. Default now.
	Received time.Time
}

// Report says what came of a notice.
type Report struct {
	AcquisitionID string // empty when nothing was to be captured
	Sealed        bool   // evidence of what was alive is safe, see [Empty]
	Outcome       artifact.Outcome
	Joined        bool          // another notice had asked for it
	Held          time.Duration // from the first notice to letting go
	Err           error         // why there is no evidence
}

// Plan is safe for concurrent use.
type Plan struct {
	cfg    Config
	work   sync.WaitGroup
	writes queue
	marks  queue
	tells  queue

	mu    sync.Mutex
	last  Last
	down  *going
	sleep *going
	off   *going
	why   record.Shutdown // of the acquisition that runs now, its notices apart
	early time.Time       // when the latest early capture was begun
	// alone are the beginnings of goings-down that only a session told of.
	alone []time.Time
}

// New returns a plan and makes its folder. What an earlier boot left there is put aside
// for [Kept]. The error is that of making the folder.
func New(cfg Config) (*Plan, error) {
	if cfg.Profile == nil {
		cfg.Profile = func(bool) string { return "flash" }
	}
	if cfg.Incident == nil {
		cfg.Incident = func() (string, bool) { return "", false }
	}
	if cfg.Clock == nil {
		cfg.Clock = acquire.SystemClock
	}
	if cfg.MaxHold <= 0 {
		cfg.MaxHold = defaultMaxHold
	}
	if cfg.Fresh <= 0 {
		cfg.Fresh = defaultFresh
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := durable.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	p := &Plan{cfg: cfg, last: Last{Format: Format, BootID: cfg.BootID}}
	switch old, err := ReadLast(cfg.Dir); {
	case err == nil && old.BootID == cfg.BootID && cfg.BootID != "":
		p.last = old.clone() // the agent was started again, or userspace alone was (soft-reboot)
		if e := p.last.GoingDown(); e != nil {
			e.EndedAt = cfg.Clock()
			if err := writeLast(cfg.Dir, p.last); err != nil {
				cfg.Log.Error("what is known of the shutdown is not kept", slog.Any("error", err))
			}
		}
	case err == nil:
		if err := putAside(cfg.Dir, old.BootID); err != nil {
			cfg.Log.Error("what was noted of an earlier shutdown is overwritten with the next", slog.Any("error", err))
		}
	case !errors.Is(err, fs.ErrNotExist):
		cfg.Log.Warn("what was noted of the last shutdown cannot be read", slog.Any("error", err))
	}
	return p, nil
}

// Noted is what is noted of this boot so far.
func (p *Plan) Noted() Last {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last.clone()
}

// Record is the line for the probe of the kind "shutdown": why the acquisition that runs
// now was begun. It is false when this boot saw no notice.
func (p *Plan) Record() (record.Shutdown, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why.Reason == "" {
		return record.Shutdown{}, false
	}
	s := p.why
	s.BootID, s.Notices = p.last.BootID, slices.Clone(p.last.Notices)
	return s, true
}

// Handle takes a notice and does what it asks for. For Down, Sleep and Logoff it returns when the
// PC is let go, or when ctx ends, whichever is first; the work itself does not end with
// ctx. For all others it returns at once.
func (p *Plan) Handle(ctx context.Context, n Notice) Report {
	if n.Received.IsZero() {
		n.Received = time.Now()
	}
	if n.At.IsZero() {
		now := p.cfg.Clock()
		n.At, n.BootNS = now.Wall, now.BootNS
	}
	g, joined := p.note(ctx, n)
	if p.cfg.Mark != nil {
		p.marks.add(func() { p.guard(ctx, "mark", func() { p.cfg.Mark(context.WithoutCancel(ctx), n.ShutdownNotice) }) })
	}
	if g == nil {
		return Report{}
	}
	select {
	case <-g.released:
	case <-ctx.Done():
	}
	if joined {
		g.letGo(ctx, n)
	}
	r := g.report()
	r.Joined = joined
	return r
}

// note keeps the notice and begins what it asks for, unless that was begun already.
func (p *Plan) note(ctx context.Context, n Notice) (g *going, joined bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last.Notices = append(p.last.Notices, n.ShutdownNotice)
	if extra := len(p.last.Notices) - maxNotices; extra > 0 {
		p.last.Notices = slices.Delete(p.last.Notices, 0, extra)
	}
	defer p.saveLocked()
	ctx = context.WithoutCancel(ctx)
	now := artifact.Instant{Wall: n.At, BootNS: n.BootNS}
	switch n.Event {
	case Down:
		if p.down != nil && p.down.serves(p.cfg.Fresh) {
			if e := p.last.Down; e != nil && e.Type == "" {
				e.Type = n.Type
			}
			if n.Source != SourceSession {
				p.confirm(p.down)
			}
			return p.down, true
		}
		if n.Source == SourceSession && !p.mayTell() {
			p.cfg.Log.WarnContext(ctx, "a session says once more that the PC goes down, and nothing else does: nothing is captured for it")
			return nil, false
		}
		g := p.begin(ctx, n, record.ReasonDown, &p.last.Down)
		p.down = g
		if n.Source == SourceSession {
			g.alone = time.Now()
			p.alone = append(p.alone, g.alone)
		}
		p.doubt(g)
		return g, false
	case Sleep:
		if p.sleep != nil && p.sleep.serves(p.cfg.Fresh) {
			return p.sleep, true
		}
		p.sleep = p.begin(ctx, n, record.ReasonSleep, &p.last.Sleep)
		return p.sleep, false
	case Logoff:
		// Going down ends sessions too, and may have been captured by then.
		for _, g := range []*going{p.down, p.off} {
			if g != nil && g.serves(p.cfg.Fresh) {
				return g, true
			}
		}
		p.off = p.begin(ctx, n, record.ReasonLogoff, &p.last.Logoff)
		return p.off, false
	case Cancelled:
		if n.Source != SourceSession || p.onlyTold() {
			p.callOff(now)
		}
	case Resumed:
		p.sleep = nil
		if e := p.last.Sleep; e != nil && e.EndedAt.Wall.IsZero() {
			e.EndedAt = now
		}
	case Unscheduled:
		if e := p.last.Early; e != nil && e.EndedAt.Wall.IsZero() {
			e.EndedAt = now
		}
	case Scheduled:
		p.captureEarly(ctx, n)
	}
	return nil, false
}

// doubt takes a going-down back that did not come: a unit that somebody stopped by hand
// is no shutdown, and what is noted must not explain a loss of power hours later.
func (p *Plan) doubt(g *going) {
	time.AfterFunc(stillHere, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.down == g {
			p.callOff(p.cfg.Clock())
			p.saveLocked()
		}
	})
}

// mayTell reports whether one more capture may be begun because a session says that the PC
// goes down. Called with p.mu held.
func (p *Plan) mayTell() bool {
	p.alone = slices.DeleteFunc(p.alone, func(at time.Time) bool { return time.Since(at) >= helperDownsTime })
	return len(p.alone) < helperDowns
}

// confirm notes that more than a session tells of a going-down. Called with p.mu held.
func (p *Plan) confirm(g *going) {
	if !g.alone.IsZero() {
		p.alone = slices.DeleteFunc(p.alone, g.alone.Equal)
		g.alone = time.Time{}
	}
}

// onlyTold reports whether only a session told of the going-down that is noted: then a session
// may take it back. Called with p.mu held.
func (p *Plan) onlyTold() bool {
	if p.down != nil {
		return !p.down.alone.IsZero()
	}
	e := p.last.GoingDown()
	return e != nil && e.Source == SourceSession
}

// callOff ends the going-down that is noted. Called with p.mu held.
func (p *Plan) callOff(now artifact.Instant) {
	p.down = nil
	if e := p.last.GoingDown(); e != nil {
		e.EndedAt = now
	}
}

// Wait returns when all that was begun is over and written, or when ctx ends. The agent
// calls it before it ends itself. Telling people is not waited for: a terminal that hangs
// must not hold the PC.
func (p *Plan) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		p.work.Wait()
		p.marks.wait()
		p.writes.wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// saveLocked has the state written, off the path of whoever holds the PC.
func (p *Plan) saveLocked() {
	l := p.last.clone()
	p.writes.add(func() {
		if err := writeLast(p.cfg.Dir, l); err != nil {
			p.cfg.Log.Error("what is known of the shutdown is not kept", slog.Any("error", err))
		}
	})
}

// guard calls do, and turns a panic into a line in the log.
func (p *Plan) guard(ctx context.Context, what string, do func()) {
	defer func() {
		if v := recover(); v != nil {
			p.cfg.Log.ErrorContext(ctx, "panic before the PC goes down", slog.String("in", what), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		}
	}()
	do()
}

// queue runs functions one after the other, beside everything else.
type queue struct {
	mu   sync.Mutex
	list []func()
	idle chan struct{} // closed when the goroutine ends; nil when there is none
}

func (q *queue) add(do func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, do)
	if q.idle != nil {
		return
	}
	q.idle = make(chan struct{})
	go func() {
		for {
			q.mu.Lock()
			if len(q.list) == 0 {
				close(q.idle)
				q.idle = nil
				q.mu.Unlock()
				return
			}
			next := q.list[0]
			q.list = q.list[1:]
			q.mu.Unlock()
			next()
		}
	}()
}

func (q *queue) wait() {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle != nil {
		<-idle
	}
}
