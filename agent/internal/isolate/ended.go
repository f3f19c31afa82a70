package isolate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
		Beside: rec.Beside.owed(rec.Desired),
	}
	if rec.Desired == Isolated {
		next.Ended = &Ended{CommandID: rec.CommandID, How: h.Kind, At: t.wall, By: clip(h.By, byMax)}
	}
	if err := m.save(next); err != nil {
		m.setPhase("")
		return m.measure(ctx, m.cfg.FirewallLimit), false, fmt.Errorf("%s: %w", what, err)
	}
	did := m.openUp(ctx)
	st = m.finish(ctx, did)
	if rec.Desired == Isolated {
		m.tell(h, st)
	}
	return st, true, m.verdict(what, st, did)
}

// reported writes down that the end of an isolation was told, when it was.
func (m *Manager) reported(h Happening) {
	ended := func() bool {
		e := m.record().Ended
		return e != nil && !e.Told && e.How == h.Kind && e.CommandID == h.CommandID
	}
	if paid := m.paid(h); !paid && !ended() {
		return
	}
	ctx := context.Background()
	end, err := m.begin(ctx, "")
	if err != nil {
		return
	}
	defer end()
	rec := m.record()
	if ended() { // else another order has come meanwhile
		e := *rec.Ended
		e.Told = true
		rec.Ended = &e
	}
	if err := m.save(rec); err != nil {
		m.cfg.Log.WarnContext(ctx, "what happened will be told twice", slog.Any("error", err))
	}
}

// Owed is something that happened and may not be kept yet by whoever was told. If it was
// not, it is told after the next start.
type Owed struct {
	Kind      Kind      `json:"kind"`
	At        time.Time `json:"at"`
	CommandID string    `json:"command_id,omitempty"`
	Detail    string    `json:"detail,omitempty"`
}

// owe remembers h, from the next record on, until it is kept. Of a kind it is the newest.
func (m *Manager) owe(h Happening) Happening {
	if h.At.IsZero() {
		h.At = m.instant().wall
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owing = append(slices.DeleteFunc(slices.Clone(m.owing), func(o Owed) bool { return o.Kind == h.Kind }),
		Owed{Kind: h.Kind, At: h.At, CommandID: h.CommandID, Detail: clip(h.Detail, 1024)})
	m.recount = true
	return h
}

// paid forgets what is kept now.
func (m *Manager) paid(h Happening) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.owing)
	m.owing = slices.DeleteFunc(slices.Clone(m.owing), func(o Owed) bool { return o.Kind == h.Kind && !o.At.After(h.At) })
	return len(m.owing) < n
}

// afterRestart says why something is told late.
const afterRestart = "told after a restart of the agent"

// tellOwed tells of what an earlier process did not live to tell.
func (m *Manager) tellOwed(st Status) {
	m.mu.Lock()
	owed, e, again := m.owed, m.rec.Ended, m.again
	m.owed, m.again = false, nil
	m.mu.Unlock()
	for _, o := range again {
		m.tell(Happening{Kind: o.Kind, At: o.At, CommandID: o.CommandID, Detail: strings.TrimPrefix(o.Detail+"; "+afterRestart, "; ")}, st)
	}
	if owed && e != nil {
		m.tell(Happening{Kind: e.How, At: e.At, CommandID: e.CommandID, By: e.By, Detail: afterRestart}, st)
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
