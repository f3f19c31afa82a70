// Package uplink is the agent's session with its collector: one mutual TLS 1.3
// connection with a control stream and evidence streams, kept up for ever. It takes
// commands in, hands results, alerts and evidence over, and decides nothing itself.
// It knows nothing of probes, firewalls or how a command is carried out, and writes
// nothing about commands or evidence into logs.
package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"hozen/agent/internal/identity"
	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink/journal"
	"hozen/proto/wire"
)

// Identity is who the agent is; [*identity.Store] fits.
type Identity interface {
	Enrolment() (identity.Enrolment, error)
	SaveEnrolment(identity.Enrolment) error
	TLSCertificate() (tls.Certificate, error)
	// Now is the time that certificates are checked against, Saw raises its floor.
	Now() time.Time
	Saw(t time.Time) error
}

// Spool holds the evidence that waits; [*spool.Spool] fits.
type Spool interface {
	List() []spool.Info
	Open(acquisitionID string) (*spool.Reader, error)
	Changed() <-chan struct{}
	Receipt(acquisitionID string, receipt []byte) error
	Refused(acquisitionID, reason string) error
}

// Handler carries commands out. A method may be called again with a command that an
// earlier process began, and must then bring it to an end without doing it twice. The
// context ends when the agent stops. Acquire may run beside one of the others.
type Handler interface {
	Acquire(ctx context.Context, c journal.Command) journal.Result
	Isolate(ctx context.Context, c journal.Command) journal.Result
	Release(ctx context.Context, c journal.Command) journal.Result
	// Preserve takes evidence and seals it. It does not take the PC down: what the order
	// says of that, [Config.GoDown] does when the result was handed over.
	Preserve(ctx context.Context, c journal.Command) journal.Result
}

// Attention is how much the endpoint's evidence is worth waiting for.
type Attention struct {
	Open           bool   // an incident with this endpoint is open
	IncidentNumber string // of the newest one, such as "INC-2026-0007"; may be empty
}

// Configure is what the organisation has set.
type Configure struct {
	Recipients []string     // public keys (age) to which evidence is encrypted while it waits
	Triage     *TriageScope // nil: the organisation has not said
}

// TriageScope is what of people's own the organisation lets be read.
type TriageScope struct {
	Private   bool `json:"private"`
	Histories bool `json:"histories"`
}

// Host is what the endpoint says of itself.
type Host struct {
	Hostname, OS, Arch, Platform, AgentVersion, BootID string
}

// Config is the manual of the uplink. Every field without "Optional" is needed.
type Config struct {
	Identity Identity
	Spool    Spool
	Journal  *journal.Journal
	Handler  Handler

	// Host describes the endpoint; it is asked at each connection.
	Host func() Host
	// Isolation returns the endpoint's isolation as measured now.
	Isolation func(ctx context.Context) journal.Isolation

	// Heard is called with every message of the collector that arrives, the first after
	// connecting included. It must not block. Optional.
	Heard func()
	// Attention is told after each connection, and at each change, whether an incident
	// with this endpoint is open. It must not block. Optional.
	Attention func(Attention)
	// Configure is told after each connection, and at each change, what the organisation has
	// set. It must not block. Optional.
	Configure func(Configure)
	// GoDown takes the PC down after an order to preserve that says so and whose result
	// is [journal.Done]: the result is on the disk then, and the collector has it when
	// it could be told within FarewellTime. It is called once; an agent that dies
	// between the result and this call leaves the PC running. Its context ends when the
	// agent stops. Optional, without it the PC goes on running.
	GoDown func(ctx context.Context, c journal.Command, r journal.Result)
	// FarewellTime bounds the wait before GoDown. Optional, 5 s.
	FarewellTime time.Duration

	// Witness remembers the signed states of the collector's ledger. What it finds keeps
	// nothing from being done. Optional.
	Witness Witness
	// Collectors are addresses "host:port" that are tried instead of those of the
	// enrolment. Optional.
	Collectors []string
	// RoutesFile keeps the last known addresses of host names, because an isolated
	// endpoint has no DNS.
	RoutesFile string
	// MinBackoff and MaxBackoff bound the wait before a further attempt to connect: a
	// random time up to MinBackoff, doubled at each failure up to MaxBackoff.
	// Optional, 1 s and 1 min.
	MinBackoff, MaxBackoff time.Duration
	// AnswerTime is how long the collector may take to answer. Optional, 15 s.
	AnswerTime time.Duration
	// ResendAfter is when a result, an alert or an isolation event that was not confirmed
	// is sent again on the same stream. Optional, 1 min.
	ResendAfter time.Duration
	// Control is called with each socket before it connects, see [net.Dialer]. Optional.
	Control func(network, address string, c syscall.RawConn) error
	// Log hears of connections and faults. Optional.
	Log *slog.Logger
}

const (
	defaultMinBackoff  = time.Second
	defaultMaxBackoff  = time.Minute
	defaultAnswerTime  = 15 * time.Second
	defaultResendAfter = time.Minute
	defaultFarewell    = 5 * time.Second
)

// ErrRevoked means that the collector does not accept this agent's certificate any more.
var ErrRevoked = errors.New("the collector has revoked this agent or does not know it; enrol again")

// Uplink keeps the session. Make one with [New], then [Uplink.Run] it. Its other
// methods are safe for concurrent use.
type Uplink struct {
	cfg    Config
	routes *routes

	// Each holds one waiting signal; receivers look at the state anew.
	results, alerts, events, moved, lanes, nudge chan struct{}

	mu       sync.Mutex
	status   Status
	progress map[string]Progress // newest per acquisition, not sent yet
	watchers []chan struct{}     // closed at the next receipt of an alert
	settling chan struct{}       // closed at the next end of a command; see news
	changed  bool                // isolation changed and was not told yet
}

// Status is the state of the session.
type Status struct {
	Connected   bool
	Address     string    // of the collector, while connected
	Since       time.Time // of Connected
	LastContact time.Time // when the collector was last heard; zero before the first time
	Problem     string    // why the last attempt failed, English; empty while connected
}

// Progress is how far a running acquisition has come.
type Progress struct {
	AcquisitionID, CommandID, AlertID, Kind string
	Done, Total                             int
	Records                                 int64
	// Of a probe that takes long: bytes written, of so many (0: nobody knows), a second.
	Bytes, Expected, Rate int64
	Sealed                bool
}

// New returns an uplink that is ready to run.
func New(cfg Config) (*Uplink, error) {
	if cfg.Identity == nil || cfg.Spool == nil || cfg.Journal == nil || cfg.Handler == nil || cfg.Host == nil || cfg.Isolation == nil || cfg.RoutesFile == "" {
		return nil, errors.New("make uplink: a field of its Config is missing")
	}
	if cfg.MinBackoff == 0 {
		cfg.MinBackoff = defaultMinBackoff
	}
	if cfg.MaxBackoff == 0 {
		cfg.MaxBackoff = max(defaultMaxBackoff, cfg.MinBackoff)
	}
	if cfg.MinBackoff < 0 || cfg.MaxBackoff < cfg.MinBackoff {
		return nil, fmt.Errorf("make uplink: backoff from %s to %s", cfg.MinBackoff, cfg.MaxBackoff)
	}
	if cfg.AnswerTime == 0 {
		cfg.AnswerTime = defaultAnswerTime
	}
	if cfg.ResendAfter == 0 {
		cfg.ResendAfter = defaultResendAfter
	}
	if cfg.FarewellTime == 0 {
		cfg.FarewellTime = defaultFarewell
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	signal := func() chan struct{} { return make(chan struct{}, 1) }
	return &Uplink{
		cfg: cfg, routes: openRoutes(cfg.RoutesFile), progress: map[string]Progress{},
		results: signal(), alerts: signal(), events: signal(), moved: signal(), lanes: signal(), nudge: signal(),
	}, nil
}

// Run keeps the session up and carries commands out until ctx ends; it returns nil then.
func (u *Uplink) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	u.startLanes(ctx, &wg)
	wait := backoff{min: u.cfg.MinBackoff, max: u.cfg.MaxBackoff}
	last := "" // problem that was logged
	for ctx.Err() == nil {
		met, err := u.attempt(ctx)
		if ctx.Err() != nil {
			break
		}
		if met {
			wait.reset()
			last = ""
		}
		if errors.Is(err, errAgain) {
			continue // on purpose, such as with a new certificate
		}
		u.disconnected(err)
		d := wait.next()
		if errors.Is(err, ErrRevoked) {
			d = u.cfg.MaxBackoff // nothing but a person's act changes this
		}
		level := slog.LevelWarn
		if err.Error() == last {
			level = slog.LevelDebug // said before
		}
		last = err.Error()
		u.cfg.Log.Log(ctx, level, "collector not connected", slog.Any("error", err), slog.Duration("retry_in", d))
		u.pause(ctx, d)
	}
	u.disconnected(nil)
	return nil
}

// attempt tries each address in turn until a session came about, and stays in it.
func (u *Uplink) attempt(ctx context.Context) (met bool, err error) {
	e, err := u.cfg.Identity.Enrolment()
	if err != nil {
		return false, err
	}
	var errs []error
	for _, a := range u.resolve(ctx, e) {
		met, err := u.session(ctx, e, a)
		if met || ctx.Err() != nil || errors.Is(err, ErrRevoked) || errors.Is(err, errAgain) {
			return met, err
		}
		errs = append(errs, fmt.Errorf("%s: %w", a, err))
	}
	if len(errs) == 0 {
		return false, errors.New("no address of the collector is known: its names cannot be resolved")
	}
	return false, errors.Join(errs...)
}

func (u *Uplink) addresses(e identity.Enrolment) []string {
	if len(u.cfg.Collectors) > 0 {
		return u.cfg.Collectors
	}
	return e.Collectors
}

// pause waits, or until there is something that a person waits for.
func (u *Uplink) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-u.nudge:
	}
}

// Wake ends a wait before the next attempt to connect.
func (u *Uplink) Wake() { signal(u.nudge) }

// Status returns the state of the session.
func (u *Uplink) Status() Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.status
}

func (u *Uplink) connected(a address) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	u.status = Status{Connected: true, Address: a.String(), Since: now, LastContact: now}
}

func (u *Uplink) heard() {
	u.mu.Lock()
	u.status.LastContact = time.Now()
	u.mu.Unlock()
	if u.cfg.Heard != nil {
		u.cfg.Heard()
	}
}

func (u *Uplink) disconnected(err error) {
	defer u.settle() // after the lock
	u.mu.Lock()
	defer u.mu.Unlock()
	u.status.Connected, u.status.Address, u.status.Since = false, "", time.Time{}
	if err != nil {
		u.status.Problem = err.Error()
	}
}

// Alert keeps a report of trouble durably and sends it as soon as it can; when it
// returns nil the report will arrive.
func (u *Uplink) Alert(a journal.Alert) error {
	if err := u.cfg.Journal.AddAlert(a); err != nil {
		return err
	}
	signal(u.alerts)
	signal(u.nudge)
	return nil
}

// IsolationEvent keeps what happened to the isolation durably and sends it as soon as it
// can; when it returns nil it will arrive, or be counted in a later one of its kind.
func (u *Uplink) IsolationEvent(e journal.IsolationEvent) error {
	e.Differences, e.Seen = toLines(e.Differences, wire.MaxSeen), toLines(e.Seen, wire.MaxSeen)
	e.By, e.Detail, e.Isolation = wire.Line(e.By, wire.MaxName), wire.Text(e.Detail, wire.MaxDetail), fit(e.Isolation)
	if err := u.cfg.Journal.AddEvent(e); err != nil {
		return err
	}
	signal(u.events)
	return nil
}

// AwaitAlert waits until the collector has an alert or ctx ends.
func (u *Uplink) AwaitAlert(ctx context.Context, alertID string) (journal.AlertReceipt, error) {
	for {
		u.mu.Lock()
		woken := make(chan struct{})
		u.watchers = append(u.watchers, woken)
		u.mu.Unlock()
		r, err := u.cfg.Journal.AlertReceipt(alertID)
		if err != nil {
			return journal.AlertReceipt{}, err
		}
		if r != nil {
			return *r, nil
		}
		select {
		case <-woken:
		case <-ctx.Done():
			return journal.AlertReceipt{}, ctx.Err()
		}
	}
}

func (u *Uplink) alertReceived(r journal.AlertReceipt) error {
	if err := u.cfg.Journal.ConfirmAlert(r); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, w := range u.watchers {
		close(w)
	}
	u.watchers = nil
	return nil
}

// Progress tells how far an acquisition has come. What cannot be sent at once is
// replaced by what comes later. It does not block.
func (u *Uplink) Progress(p Progress) {
	u.mu.Lock()
	u.progress[p.AcquisitionID] = p
	u.mu.Unlock()
	signal(u.moved)
}

func (u *Uplink) takeProgress() []Progress {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make([]Progress, 0, len(u.progress))
	for _, p := range u.progress {
		out = append(out, p)
	}
	clear(u.progress)
	return out
}

// IsolationChanged has the isolation measured and told soon. It does not block.
func (u *Uplink) IsolationChanged() {
	u.mu.Lock()
	u.changed = true
	u.mu.Unlock()
	signal(u.moved)
}

func (u *Uplink) takeIsolationChanged() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.changed
	u.changed = false
	return c
}

// signal leaves one signal in c.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
