package acquire

import (
	"time"

	"hozen/agent/internal/probe"
)

const (
	minReserve = 50 * time.Millisecond
	maxReserve = time.Second
	// tooShort is a time in which no probe gets anywhere.
	tooShort = time.Millisecond
	// liveFloor is what each of the first and most volatile probes has whatever the deadline says: on
	// a PC so slow that the time is over before the first of them, evidence a moment later
	// is worth more than none in time.
	liveFloor = 100 * time.Millisecond
)

// allowed is the time of one probe. Budget and grace together are all it can cost.
type allowed struct {
	budget, grace time.Duration
	shrunk        bool // by the deadline
	none          bool
	busy          bool // another acquisition reads memory
}

// timing deals out the time of one acquisition.
type timing struct {
	hurry  bool // there is a deadline
	grace  time.Duration
	cut    time.Time     // when the last probe has ended
	sealBy time.Time     // the deadline
	ahead  time.Duration // budgets of the probes that are still to come
	spare  time.Duration // what the probes so far left of theirs
}

func newTiming(o Order, grace time.Duration, probes []readied) *timing {
	t := &timing{hurry: !o.Deadline.IsZero(), grace: grace, sealBy: o.Deadline}
	for _, p := range probes {
		t.ahead += p.budget
	}
	if t.hurry {
		reserve := o.Reserve
		if reserve <= 0 {
			reserve = min(max(time.Until(o.Deadline)/5, minReserve), maxReserve)
		}
		t.cut = o.Deadline.Add(-reserve)
	}
	return t
}

// next says how long p may take. Without a deadline that is its budget. With one, a probe
// whose turn comes gets its part of what is left, or half of it if that is more: those
// that come first are the most volatile, and one that hangs must not cost all the others.
func (t *timing) next(p readied) allowed {
	budget := p.budget
	if p.rest {
		budget += t.spare
	}
	ahead := t.ahead
	t.ahead -= p.budget
	if !t.hurry {
		return allowed{budget: budget, grace: t.grace}
	}
	left := time.Until(t.cut)
	most := left
	if ahead+t.grace > left && t.ahead > 0 {
		most = max(time.Duration(float64(left)*float64(p.budget)/float64(ahead)), left/2)
	}
	if (p.first || p.Volatility() == probe.Live) && left < liveFloor {
		most = liveFloor
	}
	if most < tooShort {
		return allowed{none: true}
	}
	grace := min(t.grace, most/6)
	a := allowed{budget: min(budget, most-grace), grace: grace}
	a.shrunk = a.budget < budget
	return a
}

// took notes how long p took.
func (t *timing) took(p readied, d time.Duration) {
	t.spare += max(p.budget-d, -t.spare)
}
