package isolate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Fallback is what becomes of an isolation through which the collector is not reached.
type Fallback string

// The fallbacks. They stand in the state file and in records, so they are stable.
const (
	// StayClosed keeps the endpoint cut; somebody has to go there.
	StayClosed Fallback = "stay_closed"
	// RollBack goes back to what was in force before the order.
	RollBack Fallback = "roll_back"
)

// Confirm is how an order to isolate is confirmed: by a connection to the collector
// through the rules. An order without it counts at once and stays.
type Confirm struct {
	// Within is how long the connection may take from the order on, and By the agent's
	// wall clock when that is over.
	Within time.Duration `json:"within_ns"`
	By     time.Time     `json:"by"`
	// Else is what happens then.
	Else Fallback `json:"else"`
	// At is when the connection came about, late or not. Zero if it did not yet.
	At time.Time `json:"at,omitzero"`
	// Missed is when the fallback was taken. Zero if it was not.
	Missed time.Time `json:"missed,omitzero"`
	// Boot is the boot in which the time runs, Since how long ago that had begun when it
	// began to run in it, Asleep how much of that the endpoint had slept, Left what was left
	// of it then. Boots is over how many restarts and sleeps of the endpoint it went.
	Boot   string        `json:"boot,omitempty"`
	Since  time.Duration `json:"since_ns,omitempty"`
	Asleep time.Duration `json:"asleep_ns,omitempty"`
	Left   time.Duration `json:"left_ns,omitempty"`
	Boots  int           `json:"boots,omitempty"`
	// To is the isolation to which RollBack goes back; nil means released.
	To *Earlier `json:"to,omitempty"`
}

// Earlier is an order that another one replaced.
type Earlier struct {
	CommandID string    `json:"command_id"`
	OrderedAt time.Time `json:"ordered_at"`
	Policy    Policy    `json:"policy"`
	terms
	Count Count    `json:"count,omitzero"`
	Tries allTries `json:"tried,omitempty"`
}

func (c *Confirm) check() error {
	switch {
	case c == nil:
		return nil
	case c.Else != StayClosed && c.Else != RollBack:
		return fmt.Errorf("fallback %.20q is neither %q nor %q", c.Else, StayClosed, RollBack)
	case c.Within <= 0 || c.By.IsZero():
		return errors.New("confirmation without a time")
	}
	return nil
}

// waiting reports whether neither the connection nor the fallback has come yet.
func (c *Confirm) waiting() bool { return c != nil && c.At.IsZero() && c.Missed.IsZero() }

// errNoProof means that an order asks for a confirmation that nobody can give.
var errNoProof = errors.New("there is no way to find out whether the collector is reached")

// newConfirm is what an order asks for; was is the order that it replaces.
func (m *Manager) newConfirm(r Request, was Record) (*Confirm, error) {
	if r.Within == 0 {
		return nil, nil
	}
	if was.Desired == Isolated && r.CommandID != "" && was.CommandID == r.CommandID && was.Confirm != nil {
		return was.Confirm, nil // saying it again gives no more time
	}
	c := &Confirm{Within: r.Within, By: time.Now(), Else: cmp.Or(r.Else, StayClosed)}
	if err := c.check(); err != nil {
		return nil, err
	}
	c.By = time.Time{}
	if m.cfg.WayHome == nil {
		return nil, errNoProof
	}
	if was.Desired == Isolated {
		switch {
		case was.Confirm.waiting() && was.Confirm.Else == RollBack:
			c.To = was.Confirm.To // what was never confirmed is nothing to go back to
		default:
			c.To = &Earlier{CommandID: was.CommandID, OrderedAt: was.OrderedAt, Policy: was.Policy,
				terms: was.terms, Count: was.Count, Tries: was.Tries}
		}
	}
	return c, nil
}

// begin returns c with its time running, from now on unless it runs already.
func (c *Confirm) begin(t instant) *Confirm {
	if c == nil || !c.By.IsZero() {
		return c
	}
	b := *c
	b.By, b.Boot, b.Since, b.Asleep, b.Left = t.wall.Add(c.Within), t.boot, t.since, t.asleep, c.Within
	return &b
}

// sleepLeast is what counts as sleep; the clocks that tell it are not read at once.
const sleepLeast = time.Second

// ran returns how long the time has run by now in the boot in which it runs. A sleeping
// endpoint reaches nobody, so its sleep does not count. A record of before Asleep was kept
// has the sleep of the whole boot: it is no longer than the time was.
func (c *Confirm) ran(t instant) time.Duration {
	gone := t.since - c.Since
	return gone - min(gone, max(0, t.asleep-c.Asleep))
}

// bootsMax is over how many restarts and sleeps of the endpoint an order that waits for its
// confirmation is given time anew, so that restarts keep nobody out for ever.
const bootsMax = 5

// resume returns c with its time running in this boot, and since the last sleep. How long an endpoint was switched
// off the wall clock alone knows, so what is left is taken from it once, and is never more
// than was given. It is no less than settleTime: the network of an endpoint that starts or
// wakes up is not up yet, and is no reason to roll back.
func (c *Confirm) resume(t instant) *Confirm {
	if !c.waiting() {
		return c
	}
	left := min(c.Within, c.By.Sub(t.wall))
	if _, same := t.after(c.Boot, c.Since); same {
		if t.asleep-c.Asleep < sleepLeast {
			return c
		}
		left = c.Left - c.ran(t)
	}
	b := *c
	b.Boot, b.Since, b.Asleep, b.Left, b.Boots = t.boot, t.since, t.asleep, max(0, left), c.Boots+1
	if b.Boots <= bootsMax {
		b.Left = max(b.Left, settleTime)
	}
	if by := t.wall.Add(b.Left); by.After(b.By) {
		b.By = by
	}
	return &b
}

// due reports whether the time for a confirmation is over, by a clock that nobody can set;
// it runs in this boot, as begin and resume see to.
// A wall clock that was set forward opens nothing by itself, because the way home is tried
// before the fallback is taken.
func (c *Confirm) due(t instant) bool {
	return c.waiting() && c.ran(t) >= c.Left
}

// confirm looks whether the order that is in force has been confirmed, or its time is
// over, and does what follows. st is the measurement that was made since began; the
// result replaces it.
func (m *Manager) confirm(ctx context.Context, st Status, began time.Time) (Status, error) {
	rec := m.record()
	c := rec.Confirm
	if m.cfg.WayHome == nil || rec.Policy.Mode == Full { // such as before the network is up: leave it to who can find out
		return st, nil
	}
	if rec.Desired != Isolated || c == nil || !c.At.IsZero() || c.Else == RollBack && !c.waiting() {
		return st, nil
	}
	late := c.due(m.instant())
	if late && (st.WayHome == nil || st.WayHome.At.Before(began)) {
		m.tryWayHome(ctx) // nothing is rolled back on the word of an older attempt
		st.WayHome, _ = m.results()
	}
	home := st.WayHome != nil && st.WayHome.OK
	next := *c
	switch {
	case home && st.Observed == Isolated:
		next.At = st.WayHome.At
	case !late || home:
		return st, nil
	case c.Else == RollBack:
		return m.rollBack(ctx, rec, st)
	default:
		next.Missed = m.instant().wall
		m.cfg.Log.WarnContext(ctx, "the collector is not reached through the isolation, which stays as ordered")
	}
	rec.Confirm = &next
	if err := m.save(rec); err != nil {
		// Not on disk it is found out again after a restart; nothing opens by that, for the
		// way home is tried first.
		m.cfg.Log.ErrorContext(ctx, "confirmation is not on disk", slog.Any("error", err))
		st.Persisted = false
	}
	st.Confirm = &next
	return st, nil
}

// rollBack goes back to what was in force before the order. As with every release, a
// record that cannot be written leaves the endpoint closed; it is tried again.
func (m *Manager) rollBack(ctx context.Context, rec Record, st Status) (Status, error) {
	next := *rec.Confirm
	t := m.instant()
	next.Missed = t.wall
	back := Record{
		Desired: Released, CommandID: rec.CommandID, OrderedAt: next.Missed, Policy: rec.Policy, Confirm: &next,
		Ended:  &Ended{CommandID: rec.CommandID, How: HappenedRolledBack, At: t.wall},
		Beside: rec.Beside.owed(rec.Desired),
	}
	if to := next.To; to != nil {
		back.Desired, back.CommandID, back.OrderedAt, back.Policy = Isolated, to.CommandID, to.OrderedAt, to.Policy
		back.terms, back.Count, back.Tries, back.Controls, back.Beside, back.Heard = to.terms, to.Count, to.Tries, rec.Controls, rec.Beside, t.wall
		back.resume(t)
		back.Policy.Permits, _ = back.ended(t)
	}
	ctx = context.WithoutCancel(ctx)
	if err := m.save(back); err != nil && back.Desired == Released {
		return st, fmt.Errorf("roll isolation back: %w", err)
	}
	m.cfg.Log.WarnContext(ctx, "the collector is not reached through the isolation, which is rolled back as ordered")
	var did error
	if back.Desired == Isolated {
		did = m.apply(ctx, back.Policy)
	} else {
		did = m.openUp(ctx)
	}
	st = m.finish(ctx, did)
	m.tell(Happening{Kind: HappenedRolledBack, CommandID: rec.CommandID}, st)
	return st, m.verdict("roll isolation back", st, did)
}
