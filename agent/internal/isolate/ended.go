package isolate

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Ended is how an isolation ended without an order.
type Ended struct {
	// CommandID is the order that ended. Saying it again does not isolate again.
	CommandID string `json:"command_id"`
	// How is why, At the agent's wall clock when.
	How Kind      `json:"how"`
	At  time.Time `json:"at"`
	// By is who at the endpoint did it, where somebody did.
	By string `json:"by,omitempty"`
	// Told means that it was told and kept. If it was not, because the agent ended before or
	// its disk is full, it is told after the next start.
	Told bool `json:"told,omitempty"`
}

// byMax bounds the name of who did it.
const byMax = 256

// end gives the network back without an order. As with every release, a record that
// cannot be written leaves the endpoint closed; saved says whether it was.
func (m *Manager) end(ctx context.Context, what string, h Happening) (st Status, saved bool, err error) {
	ctx = context.WithoutCancel(ctx)
	m.setPhase(Releasing)
	rec, t := m.record(), m.instant()
	next := Record{
		Desired: Released, CommandID: rec.CommandID, OrderedAt: t.wall, Policy: rec.Policy,
	}
	if rec.Desired == Isolated {
		next.Ended = &Ended{CommandID: rec.CommandID, How: h.Kind, At: t.wall, By: clip(h.By, byMax)}
	}
	if err := m.save(next); err != nil {
		m.setPhase("")
		return m.measure(ctx, m.cfg.FirewallLimit), false, fmt.Errorf("%s: %w", what, err)
	}
	did := m.restore(ctx)
	st = m.finish(ctx, did)
	if rec.Desired == Isolated {
		m.tell(h, st)
	}
	return st, true, m.verdict(what, st, did)
}

// reported writes down that the end of an isolation was told, when it was.
func (m *Manager) reported(h Happening) {
	owed := func() bool {
		e := m.record().Ended
		return e != nil && !e.Told && e.How == h.Kind && e.CommandID == h.CommandID
	}
	if !owed() {
		return
	}
	ctx := context.Background()
	end, err := m.begin(ctx, "")
	if err != nil {
		return
	}
	defer end()
	if !owed() { // another order has come meanwhile
		return
	}
	rec := m.record()
	e := *rec.Ended
	e.Told = true
	rec.Ended = &e
	if err := m.save(rec); err != nil {
		m.cfg.Log.WarnContext(ctx, "the end of an isolation will be told twice", slog.Any("error", err))
	}
}

// tellOwed tells of an end that an earlier process did not live to tell.
func (m *Manager) tellOwed(st Status) {
	m.mu.Lock()
	owed, e := m.owed, m.rec.Ended
	m.owed = false
	m.mu.Unlock()
	if owed && e != nil {
		m.tell(Happening{Kind: e.How, At: e.At, CommandID: e.CommandID, By: e.By, Detail: "told after a restart of the agent"}, st)
	}
}

// ReleaseForUninstall gives the network back because the agent is being uninstalled at
// the endpoint. by says who, for the record. Errors are those of Release.
func (m *Manager) ReleaseForUninstall(ctx context.Context, by string) (Status, error) {
	const what = "release before uninstalling"
	end, err := m.begin(ctx, Releasing)
	if err != nil {
		return m.refuse(ctx, what, err)
	}
	defer end()
	_ = m.ensureLoaded(ctx) // what cannot be loaded is replaced
	if seen := m.measure(ctx, capableLimit); !seen.Capable {
		return seen, fmt.Errorf("%s: %w", what, reasonError(seen.Reason))
	}
	st, _, err := m.end(ctx, what, Happening{Kind: HappenedReleasedByUninstall, By: by})
	m.tellLost(st)
	return st, err
}
