package isolate

import "time"

// Clock tells the time in two ways.
type Clock interface {
	// Now is the wall clock, which people set.
	Now() time.Time
	// Boot names this boot of the endpoint, and says how long ago it began, sleep
	// included, by a clock that nobody sets. An empty name means that nothing is known of
	// it.
	Boot() (name string, since time.Duration)
	// Asleep is how much of that the endpoint slept (suspend), 0 where that is not known.
	Asleep() time.Duration
}

// SystemClock is the clock of the endpoint.
type SystemClock struct{}

// Now implements [Clock].
func (SystemClock) Now() time.Time { return time.Now() }

// Boot implements [Clock] by CLOCK_BOOTTIME (clock_gettime(2)) and boot_id (random(4)).
func (SystemClock) Boot() (string, time.Duration) { return sinceBoot() }

// Asleep implements [Clock] by CLOCK_MONOTONIC, which stands still meanwhile.
func (SystemClock) Asleep() time.Duration { return asleep() }

// instant is one moment by both clocks.
type instant struct {
	wall          time.Time
	boot          string
	since, asleep time.Duration
}

func (m *Manager) instant() instant {
	boot, since := m.cfg.Clock.Boot()
	return instant{m.cfg.Clock.Now().UTC().Round(0), boot, since, m.cfg.Clock.Asleep()}
}

// after returns how long ago something was in a boot, and whether it was in this one.
func (t instant) after(boot string, since time.Duration) (time.Duration, bool) {
	if boot != t.boot || since > t.since {
		return 0, false
	}
	return t.since - since, true
}

// Count is how long an order has been in force, by a clock that nobody sets. No such
// clock runs while the endpoint is switched off.
type Count struct {
	// Boot is the boot in which is counted, Since how long ago it had begun when counting
	// in it began, Done what was counted in it when this was last written.
	Boot  string        `json:"boot,omitempty"`
	Since time.Duration `json:"since_ns,omitempty"`
	Done  time.Duration `json:"done_ns,omitempty"`
	// Total is what was counted in earlier boots.
	Total time.Duration `json:"total_ns,omitempty"`
	// Left is what was left until the end of the order when counting in this boot began.
	Left time.Duration `json:"left_ns,omitempty"`
}

// here returns what has been counted in this boot, and in all.
func (c Count) at(t instant) (here, all time.Duration) {
	here, ok := t.after(c.Boot, c.Since)
	if !ok {
		here = c.Done
	}
	return here, c.Total + here
}

const (
	// settleTime is how long an endpoint that was switched off stays isolated at least,
	// though its wall clock says that the time is over: so that a clock that was set
	// forward meanwhile opens nothing before the collector could see it.
	settleTime = 2 * time.Minute
	// countEvery is how often what was counted is written down. A power cut loses what
	// came after.
	countEvery = 10 * time.Minute
	// endless is more than any order is given, and can be doubled.
	endless = time.Duration(1) << 61
)

// given is how long the order was to be in force when it was given.
func (r *Record) given(end time.Time) time.Duration {
	return min(endless, max(0, end.Sub(r.OrderedAt)))
}

// begin starts the count of a new order.
func (r *Record) begin(t instant) {
	r.Count = Count{Boot: t.boot, Since: t.since, Left: r.given(r.Until)}
}

// resume goes on with the count of an earlier process. After a restart of the endpoint
// the wall clock alone knows how long it was off, so what is left is taken from it once,
// within what was given. It reports whether the endpoint was restarted.
func (r *Record) resume(t instant) bool {
	if _, same := t.after(r.Count.Boot, r.Count.Since); same {
		return false
	}
	left := max(r.Until.Sub(t.wall), settleTime)
	r.Count = Count{Boot: t.boot, Since: t.since, Total: r.Count.Total + r.Count.Done, Left: min(left, r.given(r.Until))}
	return true
}

// over reports whether the time that a person set for the order is over. Both clocks
// must say so: one that was set forward opens nothing early. One that was set back keeps
// nobody out for longer than twice what was given.
func (r *Record) over(t instant) bool {
	if r.Desired != Isolated || r.Until.IsZero() {
		return false
	}
	here, all := r.Count.at(t)
	return all >= 2*r.given(r.Until) || here >= r.Count.Left && !t.wall.Before(r.Until)
}

// ended splits off the permits whose time is over by either clock: the earlier one
// counts, and none that ended comes back.
func (r *Record) ended(t instant) (open, ended []Permit) {
	_, all := r.Count.at(t)
	for _, p := range r.Policy.Permits {
		if t.wall.Before(p.ExpiresAt) && all < r.given(p.ExpiresAt) {
			open = append(open, p)
		} else {
			ended = append(ended, p)
		}
	}
	return open, ended
}
