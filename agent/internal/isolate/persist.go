package isolate

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// save records an order, on disk and here. When the disk fails, an order to isolate
// counts all the same; an order to release does not.
func (m *Manager) save(r Record) error {
	t := m.instant()
	m.mu.Lock()
	r.Owed, r.Leaks = slices.Clone(m.owing), onlyLeaks(m.trialsUnder(r))
	if l := m.lease; r.CommandID == m.rec.CommandID && r.OrderedAt.Equal(m.rec.OrderedAt) {
		r.Heard, r.Lapsed = l.heard, l.lapsed
	}
	m.mu.Unlock()
	m.load.Lock() // the store is for one caller at a time
	err := m.cfg.Store.Save(r)
	m.load.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil && r.Desired == Released {
		m.persisted = false // either order may be on disk now: write the old one again
		m.gen++
		return err
	}
	m.order(r, t, false)
	m.persisted, m.loaded = err == nil, true
	if err == nil {
		m.lease.stale, m.recount = !r.Lapsed.Equal(m.lease.lapsed), false
	}
	return err
}

// note writes down what has changed by itself: how long the order has been in force, and
// when the collector was heard.
func (m *Manager) note(ctx context.Context, t instant) {
	m.mu.Lock()
	rec, stale := m.rec, m.lease.stale || m.recount
	m.mu.Unlock()
	if rec.Desired != Isolated {
		return
	}
	here, _ := rec.Count.at(t)
	timed := !rec.Until.IsZero() || rec.Lease > 0 || len(rec.Policy.Permits) > 0
	if !stale && (!timed || here-rec.Count.Done < countEvery) {
		return
	}
	rec.Count.Done = here
	if err := m.save(rec); err != nil && !errors.Is(err, ErrReadOnly) {
		m.cfg.Log.WarnContext(ctx, "what was counted of isolation is not on disk", slog.Any("error", err))
	}
}

// lookEvery is how often an isolated endpoint looks whether its record is still there.
const lookEvery = 5 * time.Second

// look sees to it that the record on disk is still that of the order. Without it a
// restart would open the endpoint, silently.
func (m *Manager) look(ctx context.Context, st Status) Status {
	m.mu.Lock()
	due := m.rec.Desired == Isolated && m.persisted && (m.looked.IsZero() || time.Since(m.looked) >= lookEvery)
	if due {
		m.looked = time.Now()
	}
	rec := m.rec
	m.mu.Unlock()
	if !due {
		return st
	}
	m.load.Lock()
	got, err := m.cfg.Store.Load()
	m.load.Unlock()
	detail := "the record on disk is another one"
	switch {
	case err != nil:
		detail = err.Error()
	case got.same(rec) && slices.Equal(got.Tries, rec.Tries):
		return st
	}
	m.cfg.Log.ErrorContext(ctx, "isolation record is lost while isolated, and written again", slog.String("detail", detail))
	h := m.owe(Happening{Kind: HappenedRecordLost, Detail: detail, CommandID: rec.CommandID})
	st.Persisted = m.save(rec) == nil
	m.tell(h, st)
	return st
}
