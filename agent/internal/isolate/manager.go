package isolate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Config is what a Manager is built from.
type Config struct {
	// Firewall cuts the network.
	Firewall Firewall
	// Store keeps the last order.
	Store Store
	// Before runs before the network is cut: the flash capture. Its failure or slowness
	// never keeps the network open. Optional.
	Before func(context.Context) error
	// BeforeLimit is how long Before may take; it is abandoned then. Default 10 s.
	BeforeLimit time.Duration
	// Connections ends the connections that exist when the network has been cut. Its
	// failure never opens the network. Optional.
	Connections Connections
	// SeverLimit is how long Connections may take. Default 5 s.
	SeverLimit time.Duration
	// WayHome makes a new connection to the collector, to show that the way through the
	// rules is open. Optional.
	WayHome func(context.Context) error
	// WayHomeLimit is how long WayHome may take. Default 10 s.
	WayHomeLimit time.Duration
	// Collectors returns the addresses of the collector that the agent knows by itself,
	// kept open when the record of an ordered isolation is lost. Optional: without it
	// such an endpoint is closed entirely.
	Collectors func() []netip.AddrPort
	// Tunnels returns the outer ends of the tunnels through which the way to a policy's
	// collectors goes now, and says in English what of that could not be found out. It is
	// asked before the cut and, while isolated, at each Reconcile. Optional: without it a
	// collector behind a tunnel is not reached while isolated.
	Tunnels func(context.Context, Policy) (found []Tunnel, limits []string)
	// FirewallLimit is how long changing and how long reading the firewall may take.
	// Default 10 s.
	FirewallLimit time.Duration
	// Trials try the rules by traffic: their controls beside Before, the trials after the
	// cut and every TrialsEvery (default 60 s) while isolated. Optional.
	Trials      Trials
	TrialsEvery time.Duration
	// Tell is told what happened without an order of this moment, one thing at a time and
	// never while the Manager waits for it. The first of a kind is told at once, others of
	// the same kind and order at most once a minute, counted. It reports whether that is
	// kept; the end of an isolation that is not is told again after the next start. Optional.
	Tell func(Happening) (kept bool)
	// Clock tells the time. Default: [SystemClock].
	Clock Clock
	// Log takes what nobody is there to be told. Default: nowhere.
	Log *slog.Logger
}

// Manager is the state machine of isolation: it carries out orders one at a time,
// keeps the last one across restarts and measures what is in force. What is ordered
// and what is measured are two things here; no method says Isolated because Apply
// returned nil. It is safe for concurrent use.
type Manager struct {
	cfg  Config
	op   chan struct{} // held by the one order that is being carried out
	load sync.Mutex    // held while the store is used
	// A call that is stuck keeps its gate shut.
	change, read, before, home, ends, controls, tests, carriers, beside gate
	teller                                                              *teller

	mu        sync.Mutex
	gen       int // counts every change of the fields below
	loaded    bool
	persisted bool
	rec       Record
	phase     State // Isolating or Releasing while an order is being carried out
	lastHome  *WayHome
	severed   *Severed // since the order
	intact    *Others  // after the release
	opened    bool     // this process opened the network since the last cut
	lease     lease
	recount   bool          // rec.Count is not on disk
	rebooted  bool          // nobody but a restart took our rules away
	lost      string        // why the record was lost, until that is told
	looked    time.Time     // when the record was last read back
	owed      bool          // the end of an isolation was not told by an earlier process
	owing     []Owed        // what was told and is not kept yet
	again     []Owed        // of an earlier process
	orders    int           // counts orders and what they allow
	trials    []Trial       // since the order
	triedAt   time.Time     // when they began
	trying    chan struct{} // closed when those that run are done; nil if none do
	changed   chan struct{} // closed when rec.Desired changes
	outers    outers        // of tunnels; changed by the one order that is being carried out
	others    []string      // which rules of others events told of since then
	seen      []string      // what events told since the last measurement that led to something
}

// NewManager returns a Manager. It touches nothing before the first call of a method;
// the agent calls Resume at its start.
func NewManager(c Config) (*Manager, error) {
	if c.Firewall == nil || c.Store == nil {
		return nil, errors.New("build isolation manager: Firewall and Store are needed")
	}
	c.BeforeLimit = cmp.Or(c.BeforeLimit, 10*time.Second)
	c.WayHomeLimit = cmp.Or(c.WayHomeLimit, 10*time.Second)
	c.SeverLimit = cmp.Or(c.SeverLimit, 5*time.Second)
	c.FirewallLimit = cmp.Or(c.FirewallLimit, 10*time.Second)
	c.TrialsEvery = cmp.Or(c.TrialsEvery, time.Minute)
	if c.Clock == nil {
		c.Clock = SystemClock{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		cfg: c, op: make(chan struct{}, 1), changed: make(chan struct{}),
		change: newGate(), read: newGate(), before: newGate(), home: newGate(), ends: newGate(),
		controls: newGate(), tests: newGate(), carriers: newGate(), beside: newGate(),
	}
	m.teller = newTeller(c.Tell, m.reported)
	return m, nil
}

// Isolate cuts the network: Before, record, apply, read back, end the connections that
// exist, way home, trials, in this order.
// Once the order is recorded it is carried out even if ctx ends. The error is nil only
// if the kernel was seen to enforce the policy and no trial shows otherwise; whether the
// way home is open, the order is on disk and Before went well stands in the Status. The
// network stays cut when the way home is closed; with Full there is none, and none is
// tried. While isolated another order with another policy replaces it without a gap.
//
// The error wraps ErrNoCollector, ErrNoWayBack, ErrOver, ErrEnded, ErrNeedsRoot or
// errors.ErrUnsupported, or says what is wrong with the order, and then nothing was
// done; or ErrNotInForce, and then Reconcile goes on trying.
func (m *Manager) Isolate(ctx context.Context, r Request) (Status, error) {
	const what = "isolate"
	began := time.Now()
	if err := r.check(m.instant().wall); err != nil {
		return m.refuse(ctx, what, err)
	}
	end, err := m.begin(ctx, Isolating)
	if err != nil {
		return m.refuse(ctx, what, err)
	}
	defer end()
	// A record that cannot be loaded is no reason to stay connected: it is replaced, though
	// not by a drill.
	if err := m.ensureLoaded(ctx); err != nil && r.Drill {
		return m.refuse(ctx, what, err)
	}
	was := m.record()
	seen := m.measure(ctx, capableLimit)
	if !seen.Capable {
		return seen, fmt.Errorf("isolate: %w", reasonError(seen.Reason))
	}
	if e := was.Ended; e != nil && r.CommandID != "" && e.CommandID == r.CommandID {
		return seen, fmt.Errorf("isolate: %w: %s", ErrEnded, e.How)
	}
	if r.Drill && was.Desired == Isolated && !was.Drill {
		return m.decline(ctx, what, ErrDrill)
	}
	confirm, err := m.newConfirm(r, was)
	if err != nil {
		return m.decline(ctx, what, err)
	}
	before, controls, beside := BeforeOutcome(""), was.Controls, was.Beside
	if p := r.Policy.Clean(); was.Desired == Isolated {
		r.Policy.Tunnels, _ = m.follow(context.WithoutCancel(ctx), p, was.Policy.Tunnels)
	} else {
		before, controls, beside, r.Policy.Tunnels = m.prepare(ctx, p, r.IsolateFirst)
	}
	// From here on a caller that goes away does not leave the network half cut.
	ctx = context.WithoutCancel(ctx)
	rec := m.newRecord(r, was, confirm, controls, beside)
	var applied error
	if !rec.same(was) || seen.Observed != Isolated || !seen.Persisted {
		if err := m.save(rec); err != nil {
			// A full disk is no reason to stay connected.
			m.cfg.Log.ErrorContext(ctx, "isolation is not on disk", slog.Any("error", err))
		}
		applied = m.apply(ctx, rec.Policy)
	}
	cut := time.Now()
	st := m.finish(ctx, applied)
	if st.Reason == Leak { // as was shown before this order; the trials of now may show that it is over
		m.awaitTrials(ctx, st, trialsWait)
		st = m.measure(ctx, m.cfg.FirewallLimit)
	}
	err = m.verdict(what, st, applied)
	if err == nil {
		st, err = m.confirm(ctx, st, began)
	}
	if err == nil {
		st = m.awaitTrials(ctx, st, trialsWait-time.Since(cut))
		err = m.verdict(what, st, nil)
	}
	m.tellLost(st)
	st.Before = before
	return st, err
}

// newRecord is the record of an order that replaces was. The same command again changes
// no more of it than the ways to the collector: it gives no more time, and no more tries.
func (m *Manager) newRecord(r Request, was Record, confirm *Confirm, controls Controls, beside Beside) Record {
	t, p := m.instant(), r.Policy.Clean()
	if r.CommandID != "" && was.CommandID == r.CommandID && was.Desired == Isolated {
		rec := was
		p.Mode, p.Permits = was.Policy.Mode, was.Policy.Permits
		rec.Policy, rec.Confirm, rec.Lost = p.Clean(), confirm.begin(t), false
		return rec
	}
	rec := Record{
		Desired: Isolated, CommandID: r.CommandID, OrderedAt: t.wall, Policy: p, terms: r.terms(),
		Confirm: confirm.begin(t), Controls: controls, Beside: beside, Heard: t.wall,
	}
	rec.begin(t)
	rec.Policy.Permits, _ = rec.ended(t)
	return rec
}

// Release gives the network back. The record is written first: if that fails the
// network stays cut. The error is nil only if the kernel was seen to enforce nothing
// of ours; if it wraps ErrNotInForce, Reconcile goes on trying.
func (m *Manager) Release(ctx context.Context, r Request) (Status, error) {
	end, err := m.begin(ctx, Releasing)
	if err != nil {
		return m.refuse(ctx, "release", err)
	}
	defer end()
	ctx = context.WithoutCancel(ctx)
	_ = m.ensureLoaded(ctx) // the order replaces what cannot be loaded
	if seen := m.measure(ctx, capableLimit); !seen.Capable {
		return seen, fmt.Errorf("release: %w", reasonError(seen.Reason))
	}
	was := m.record()
	rec := Record{Desired: Released, CommandID: r.CommandID, OrderedAt: m.instant().wall, Policy: was.Policy,
		Beside: was.Beside.owed(was.Desired)}
	if err := m.save(rec); err != nil {
		return m.measure(ctx, m.cfg.FirewallLimit), fmt.Errorf("release: %w", err)
	}
	restored := m.openUp(ctx)
	st := m.finish(ctx, restored)
	m.tellLost(st)
	return st, m.verdict("release", st, restored)
}

// Resume puts the recorded order in force again; the agent calls it at its start. An
// endpoint whose record is lost stays closed.
func (m *Manager) Resume(ctx context.Context) (Status, error) {
	return m.reconcile(ctx, "resume isolation")
}

// Reconcile measures and, where something else is in force than ordered, puts it
// right. What it found changed stands in Status.Drift. The agent calls it every few
// seconds and whenever something in the network changed.
func (m *Manager) Reconcile(ctx context.Context) (Status, error) {
	return m.reconcile(ctx, "reconcile isolation")
}

func (m *Manager) reconcile(ctx context.Context, what string) (Status, error) {
	end, err := m.begin(ctx, "")
	if err != nil {
		return m.refuse(ctx, what, err)
	}
	defer end()
	if err := m.ensureLoaded(ctx); err != nil {
		return m.refuse(ctx, what, err)
	}
	began, t := time.Now(), m.instant()
	seen, others := m.takeSeen() // before measuring: what is seen later is for the next time
	st := m.measure(ctx, m.cfg.FirewallLimit)
	if !st.Capable {
		if st.Desired == Released {
			return st, nil // nothing to do, and nobody asked for more
		}
		return st, fmt.Errorf("%s: %w", what, reasonError(st.Reason))
	}
	st, err = m.settle(ctx, what, st, t, began, seen)
	if len(others) > 0 && st.Desired == Isolated {
		m.tell(Happening{Kind: HappenedOthersRules, Seen: others}, st)
	}
	m.tellLost(st)
	m.tellOwed(st)
	return m.lapse(ctx, st, t), err
}

// settle does what is due by now and puts right what st, measured since began, shows to
// be otherwise than ordered.
func (m *Manager) settle(ctx context.Context, what string, st Status, t instant, began time.Time, seen []string) (Status, error) {
	rec := m.record()
	var late error
	if rec.over(t) {
		after, saved, err := m.end(ctx, what, Happening{Kind: HappenedReleasedByTime})
		if saved {
			return after, err
		}
		late = err // it stays closed, and that is looked after as ever
	}
	if c := rec.Confirm.resume(t); c != rec.Confirm && rec.Desired == Isolated { // it slept
		rec.Confirm, st.Confirm, st.Persisted = c, c, false
	}
	if !st.Persisted {
		if err := m.save(rec); err == nil {
			st.Persisted = true
		}
	}
	m.note(ctx, t)
	st = m.look(ctx, st)
	open, ended := rec.ended(t)
	var moved []string
	if rec.Desired == Isolated {
		rec.Policy.Tunnels, moved = m.follow(ctx, rec.Policy, rec.Policy.Tunnels)
	} else {
		ended = nil
	}
	edited := len(ended) > 0 || len(moved) > 0
	if edited {
		tunnels := rec.Policy.Tunnels
		rec = m.record()
		rec.Policy.Permits, rec.Policy.Tunnels = open, tunnels
		// What allows less need not be on disk: it is found out again.
		st.Persisted = m.save(rec) == nil
	} else if !slices.Equal(rec.Policy.Tunnels, m.record().Policy.Tunnels) {
		st.Persisted = m.save(rec) == nil // the same is open, and more is known of it
	}
	if st.inForce() && rec.Desired == Isolated && st.Observation.Held == HeldByNobody && !edited {
		// An earlier process of ours put these rules in force and is gone. They are as
		// ordered; applying them again locks them.
		if err := m.apply(context.WithoutCancel(ctx), rec.Policy); err != nil {
			m.cfg.Log.WarnContext(ctx, "rules are in force but not locked", slog.Any("error", err))
		}
		if st = m.measure(ctx, m.cfg.FirewallLimit); st.inForce() {
			m.sever(context.WithoutCancel(ctx), rec.Policy) // perhaps it died before it did that
			_, st.Severed = m.results()
		}
	}
	if st.inForce() && !edited {
		m.setRebooted(false)
		if rec.Desired == Released && rec.Beside.known() {
			m.compareBeside(ctx)
			st = m.measure(ctx, m.cfg.FirewallLimit)
		}
		if h := st.WayHome; rec.Desired == Isolated && (h == nil || !h.OK) {
			m.tryWayHome(ctx)
			st.WayHome, _ = m.results()
		}
		m.tryAgain(ctx, st)
		st, err := m.confirm(ctx, st, began)
		if err == nil {
			err = m.verdict(what, st, nil)
		}
		return st, errors.Join(err, late)
	}
	var drift []string
	read := st.Reason != Unmeasured // else nobody is blamed
	if !st.inForce() {
		drift = slices.Clone(st.Observation.Gaps)
		if len(drift) == 0 {
			drift = append(drift, st.Detail)
		}
	}
	ctx = context.WithoutCancel(ctx)
	var did error
	if rec.Desired == Isolated {
		did = m.apply(ctx, rec.Policy)
	} else {
		did = m.openUp(ctx)
	}
	st = m.finish(ctx, did)
	err := m.verdict(what, st, did)
	if after, lerr := m.confirm(ctx, st, began); lerr != nil || after.Desired != st.Desired || after.Observed != st.Observed {
		st, err = after, lerr // rolled back
	} else {
		st = after
	}
	st.Drift, st.Moved, st.Seen = drift, moved, seen
	m.tellPutRight(st, err, ended, read)
	return st, errors.Join(err, late)
}

// Status measures now. While an order is being carried out it says so.
func (m *Manager) Status(ctx context.Context) Status {
	if err := m.ensureLoaded(ctx); err != nil {
		return Status{Desired: Unknown, Observed: Unknown, Reason: Unmeasured, Detail: err.Error(), Capable: true}
	}
	for try := 1; ; try++ {
		before, _ := m.moment()
		st := m.measure(ctx, m.cfg.FirewallLimit)
		after, phase := m.moment()
		switch {
		case !st.Capable:
			return st
		case before != after && try < 3:
			continue // an order began or ended while the kernel was read
		case before != after && phase == "":
			st.Observed, st.Reason, st.Detail = Unknown, Unmeasured, "orders were carried out meanwhile"
		case phase != "":
			st.Observed, st.Reason, st.Detail = phase, "", ""
		}
		return st
	}
}

// finish reads back what an order has led to, and probes the way home.
func (m *Manager) finish(ctx context.Context, did error) Status {
	st := m.measure(ctx, m.cfg.FirewallLimit)
	if st.Desired == Isolated && st.inForce() {
		m.sever(ctx, st.Policy)
		m.startTrials(ctx, min(m.cfg.TrialsEvery, trialsSoon))
		m.tryWayHome(ctx)
		st.WayHome, st.Severed = m.results()
	}
	if did != nil && !st.matches() {
		st.Detail = did.Error() + "; " + st.Detail
	}
	return st
}

func (m *Manager) verdict(what string, st Status, did error) error {
	if st.matches() {
		return nil // what was measured counts, not what a call returned
	}
	return errors.Join(fmt.Errorf("%s: %w: %s", what, ErrNotInForce, st.Detail), did)
}

func (m *Manager) refuse(ctx context.Context, what string, err error) (Status, error) {
	return m.Status(ctx), fmt.Errorf("%s: %w", what, err)
}

// capableLimit is how long the look before an order may take that tells whether this
// process may touch the firewall at all. A firewall that cannot be read in that time
// is cut all the same.
const capableLimit = 2 * time.Second

func reasonError(r Reason) error {
	if r == NeedsRoot {
		return ErrNeedsRoot
	}
	return errors.ErrUnsupported
}
