package isolate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// begin waits until no other order is being carried out.
func (m *Manager) begin(ctx context.Context, phase State) (end func(), err error) {
	select {
	case m.op <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another order: %w", ctx.Err())
	}
	m.setPhase(phase)
	return func() {
		m.setPhase("")
		<-m.op
	}, nil
}

// ensureLoaded loads the record once. It fails when neither disk nor kernel can tell
// whether isolation was ordered: taking that for "no" could open the endpoint.
func (m *Manager) ensureLoaded(ctx context.Context) error {
	m.load.Lock()
	defer m.load.Unlock()
	m.mu.Lock()
	loaded := m.loaded
	m.mu.Unlock()
	if loaded {
		return nil
	}
	rec, err := m.cfg.Store.Load()
	lost := errors.Is(err, ErrRecordLost)
	if err != nil && !lost {
		// No file says that isolation was ordered. The kernel may: rules of ours are there
		// because somebody ordered them.
		o, oerr := m.observe(ctx, nil, capableLimit)
		if oerr != nil && !errors.Is(oerr, ErrNeedsRoot) && !errors.Is(oerr, errors.ErrUnsupported) {
			return fmt.Errorf("learn whether isolation was ordered: %w", oerr)
		}
		lost = oerr == nil && o.Present
	}
	persisted := err == nil || errors.Is(err, ErrNoRecord) && !lost
	now := m.instant()
	rebooted, recount, why := false, false, ""
	switch {
	case lost:
		m.cfg.Log.ErrorContext(ctx, "isolation record is lost, endpoint stays closed", slog.Any("error", err))
		why = "nothing is on disk, but rules of ours are in force"
		if err != nil && !errors.Is(err, ErrNoRecord) {
			why = err.Error()
		}
		rec = Record{Desired: Isolated, OrderedAt: now.wall, Lost: true}
		rec.begin(now)
		if m.cfg.Collectors != nil {
			rec.Policy.Collectors = m.cfg.Collectors()
		}
		rec.Policy = rec.Policy.Clean()
		rec.Owed = []Owed{{Kind: HappenedRecordLost, At: now.wall, Detail: why}}
	case err != nil:
		rec = Record{Desired: Released}
	case rec.Desired == Isolated:
		rebooted = rec.resume(now)
		c := rec.Confirm.resume(now)
		recount, rec.Confirm = rebooted || c != rec.Confirm, c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.loaded { // no order was given meanwhile
		m.order(rec, now, true)
		m.owed = rec.Ended != nil && !rec.Ended.Told
		m.owing = rec.Owed
		if !lost { // else it is told for the first time
			m.again = rec.Owed
		}
		m.persisted, m.loaded, m.recount, m.rebooted, m.lost = persisted, true, recount, rebooted || lost, why
	}
	return nil
}

func (m *Manager) record() Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rec
}

func (m *Manager) results() (*WayHome, *Severed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lastHome, m.severed
}

func (m *Manager) setPhase(s State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase == s {
		return // Reconcile only looks, mostly: a measurement beside it is none the worse
	}
	m.phase = s
	m.gen++
}

func (m *Manager) setRebooted(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rebooted = yes
}

// tellPutRight tells what st and err, after something was changed, came to. ended are the
// permits whose end was the reason; read says that the differences were read, not feared.
func (m *Manager) tellPutRight(st Status, err error, ended []Permit, read bool) {
	m.mu.Lock()
	own := m.rebooted
	m.rebooted = own && err != nil
	m.mu.Unlock()
	if len(ended) > 0 {
		var gone []string
		for _, p := range ended {
			gone = append(gone, fmt.Sprintf("%s, until %s", p, p.ExpiresAt.UTC().Format(time.RFC3339)))
		}
		m.tell(Happening{Kind: HappenedPermitEnded, Differences: gone}, st)
	}
	if len(st.Moved) > 0 {
		m.tell(Happening{Kind: HappenedTunnelChanged, Differences: st.Moved, Seen: st.Seen}, st)
	}
	switch {
	case err != nil && !st.inForce():
		m.tell(Happening{Kind: HappenedNotInForce, Detail: st.Detail, Differences: st.Drift, Seen: st.Seen}, st)
	case err == nil && len(st.Drift) > 0 && read && !own:
		m.tell(Happening{Kind: HappenedDrift, Differences: st.Drift, Seen: st.Seen}, st)
	}
}

func (m *Manager) apply(ctx context.Context, p Policy) error {
	m.mu.Lock()
	m.opened = false
	m.mu.Unlock()
	return m.change.run(ctx, m.cfg.FirewallLimit, func(ctx context.Context) error {
		return m.cfg.Firewall.Apply(ctx, p)
	})
}

func (m *Manager) restore(ctx context.Context) error {
	return m.change.run(ctx, m.cfg.FirewallLimit, m.cfg.Firewall.Restore)
}

// openUp restores the network and compares the rules of others with those of before the
// cut, if the record has them still.
func (m *Manager) openUp(ctx context.Context) error {
	did := m.restore(ctx)
	m.mu.Lock()
	m.opened = true
	m.mu.Unlock()
	if did == nil {
		m.compareBeside(ctx)
	}
	return did
}

func (m *Manager) observe(ctx context.Context, p *Policy, limit time.Duration) (Observation, error) {
	var o Observation
	out := make(chan Observation, 1) // an abandoned call must not write to o
	err := m.read.run(ctx, limit, func(ctx context.Context) error {
		o, err := m.cfg.Firewall.Observe(ctx, p)
		out <- o
		return err
	})
	if err == nil {
		o = <-out
	}
	return o, err
}

// measure reads back what is in force. It knows no memory of an earlier measurement but
// the trials, which it believes if they show a leak.
func (m *Manager) measure(ctx context.Context, limit time.Duration) Status {
	t := m.instant()
	m.mu.Lock()
	rec, st := m.rec, m.describe(t)
	trials := m.trials
	m.mu.Unlock()
	var want *Policy
	if rec.Desired == Isolated {
		want = &rec.Policy
	}
	o, err := m.observe(ctx, want, limit)
	if want != nil && err == nil {
		o.Limits = append(slices.Clone(o.Limits), m.tunnelLimits()...)
	}
	st.Observation = o
	st.Observed, st.Reason, st.Detail = judge(st.Desired, o, err)
	st.Capable = st.Reason != NeedsRoot && st.Reason != NotSupported
	return st.tried(trials)
}

// describe is what was ordered. The lock is held by the caller.
func (m *Manager) describe(t instant) Status {
	r := m.rec
	st := Status{
		Desired: cmp.Or(r.Desired, Released), CommandID: r.CommandID, OrderedAt: r.OrderedAt, Policy: r.Policy,
		Persisted: m.persisted, RecordLost: r.Lost, WayHome: m.lastHome, Severed: m.severed, Confirm: r.Confirm,
		Until: r.Until, Notice: r.Notice, Drill: r.Drill, Ended: r.Ended,
	}
	if r.Desired == Released {
		st.Others = m.intact
	}
	if r.Code != nil {
		st.CodeNumber = r.Code.Number
	}
	if r.Desired == Isolated && r.Lease > 0 {
		st.LeaseUntil = t.wall.Add(m.lease.by - t.since)
		st.LeaseLapsed = t.since >= m.lease.by
	}
	return st
}

// moment names the present moment in the manager's life and says what is going on.
func (m *Manager) moment() (gen int, phase State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gen, m.phase
}

func (m *Manager) runBefore(ctx context.Context, skip bool) BeforeOutcome {
	switch {
	case m.cfg.Before == nil:
		return ""
	case skip:
		return BeforeSkipped
	}
	err := m.before.run(ctx, m.cfg.BeforeLimit, m.cfg.Before)
	switch {
	case err == nil:
		return BeforeDone
	case errors.Is(err, context.DeadlineExceeded):
		m.cfg.Log.WarnContext(ctx, "work before isolation took too long", slog.Any("error", err))
		return BeforeTimedOut
	default:
		m.cfg.Log.WarnContext(ctx, "work before isolation failed", slog.Any("error", err))
		return BeforeFailed
	}
}

func (m *Manager) tryWayHome(ctx context.Context) {
	if m.cfg.WayHome == nil || m.record().Policy.Mode == Full { // there is none, and should be none
		return
	}
	err := m.home.run(ctx, m.cfg.WayHomeLimit, m.cfg.WayHome)
	w := &WayHome{OK: err == nil, At: m.instant().wall}
	if err != nil {
		w.Detail = err.Error()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastHome = w
}
