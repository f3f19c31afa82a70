package isolate

import (
	"context"
	"log/slog"
	"time"
)

// lease is when the collector was heard last. Unlike the rest of a record it changes
// while no order is carried out.
type lease struct {
	by     time.Duration // since boot, when it lapses
	heard  time.Time
	lapsed time.Time // when that was told; zero if it was not
	stale  bool      // the record says otherwise
}

// begin starts the lease of a new order, which came from the collector. One that comes
// from the disk goes on, with a little time to hear the collector in: being switched off
// is no lapse.
func (l *lease) begin(r Record, t instant, loaded bool) {
	*l = lease{by: t.since + r.Lease, heard: t.wall}
	if !loaded {
		return
	}
	left := min(r.Lease, max(settleTime, r.Heard.Add(r.Lease).Sub(t.wall)))
	if !r.Lapsed.IsZero() {
		left = 0
	}
	*l = lease{by: t.since + left, heard: r.Heard, lapsed: r.Lapsed}
}

func (r *Record) leased() bool { return r.Desired == Isolated && r.Lease > 0 }

// Heard says that the collector was heard through the isolation just now. It may be
// called as often as that happens.
func (m *Manager) Heard() {
	leased := func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.rec.leased()
	}
	if !leased() {
		return // nearly always, and then not even a clock is read
	}
	t := m.instant()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.rec.leased() {
		return
	}
	l := lease{by: t.since + m.rec.Lease, heard: t.wall}
	l.stale = m.lease.stale || !m.lease.lapsed.IsZero()
	m.lease = l
}

// lapse tells once that the collector was not heard for as long as the lease.
func (m *Manager) lapse(ctx context.Context, st Status, t instant) Status {
	m.mu.Lock()
	lapsed := m.rec.leased() && t.since >= m.lease.by && m.lease.lapsed.IsZero()
	if lapsed {
		m.lease.lapsed = t.wall
		m.lease.stale = true
	}
	m.mu.Unlock()
	if !lapsed {
		return st
	}
	m.cfg.Log.WarnContext(ctx, "the collector was not heard for as long as the lease; still isolated", slog.Duration("lease", m.record().Lease))
	st.LeaseLapsed = true
	m.tell(m.owe(Happening{Kind: HappenedLeaseLapsed, CommandID: st.CommandID, At: t.wall}), st)
	return st
}
