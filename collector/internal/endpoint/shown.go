package endpoint

import "time"

// StaleAfter is the age from which a measurement is shown as unknown.
const StaleAfter = 90 * time.Second

// TrialStaleAfter is the age from which a trial shows nothing any more: agents try again
// every minute while isolated.
const TrialStaleAfter = 5 * time.Minute

// Why is the reason why nothing is known of an isolation now.
type Why string

// The reasons.
const (
	WhyNever   Why = "never"   // nothing was measured yet
	WhyStale   Why = "stale"   // the measurement is older than [StaleAfter], or from as far in the future
	WhyUnclear Why = "unclear" // the agent does not say
	WhyRevoked Why = "revoked" // its word does not count any more
)

// Note is what else to know of an isolation.
type Note string

// The notes.
const (
	NoteIncapable Note = "incapable"      // the system cannot isolate
	NoteLeak      Note = "leak"           // something passed that must not
	NoteShut      Note = "shut"           // something does not pass that must
	NoteNoWayHome Note = "no_way_home"    // the collector was not reached through the rules
	NoteNotAs     Note = "not_as_ordered" // something else was measured than was ordered
)

// Shown is an isolation as it may be shown, on every screen and in every answer: only what
// was measured, and only while that is fresh. Everything else is unknown, and unknown is
// never a good state.
type Shown struct {
	State   State // never isolated while a trial shows that something passes
	Why     Why   // of unknown
	Ordered State // of one that went stale: what was ordered last, or empty
	Notes   []Note
	// MeasuredAt is by the collector's clock, as far as the endpoint's is known; zero: never.
	MeasuredAt time.Time
}

// Age returns how old the measurement is; false if there is none, or if it is from more than
// [StaleAfter] in the future: the collector's clock was put back since, and no age is known.
func (s Shown) Age(now time.Time) (time.Duration, bool) {
	age := now.Sub(s.MeasuredAt)
	return max(0, age), !s.MeasuredAt.IsZero() && age >= -StaleAfter
}

// ByUs returns a moment of the endpoint's clock by the collector's, as far as the
// difference is known; the zero one stays.
func (e Endpoint) ByUs(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-e.ClockOffset)
}

// measuredAt returns when the isolation was measured by the collector's clock. A
// measurement may have waited at the endpoint, so it counts from when it was made; the
// endpoint's clock makes it no newer than when it came.
func (e Endpoint) measuredAt() time.Time {
	received, measured := e.Isolation.ReceivedAt, e.ByUs(e.Isolation.MeasuredAt)
	if received.IsZero() || measured.IsZero() || measured.After(received) {
		return received
	}
	return measured
}

// Shown returns what may be said of the isolation at a moment.
func (e Endpoint) Shown(now time.Time) Shown {
	m := e.Isolation
	v := Shown{State: Unknown, MeasuredAt: e.measuredAt()}
	switch {
	case !e.RevokedAt.IsZero():
		v.Why = WhyRevoked
		return v
	case v.MeasuredAt.IsZero():
		v.Why = WhyNever
		return v
	case now.Sub(v.MeasuredAt) > StaleAfter, v.MeasuredAt.Sub(now) > StaleAfter:
		v.Why = WhyStale
		if m.Desired.known() {
			v.Ordered = m.Desired
		}
		return v
	}
	if m.Observed.known() {
		v.State = m.Observed
	} else {
		v.Why = WhyUnclear
	}
	if !m.Capable {
		v.Notes = append(v.Notes, NoteIncapable)
	}
	if m.Observed == Isolated || m.Observed == Failed {
		leak, shut := m.More.contrary()
		if leak {
			// Rules that were read back prove nothing against traffic that was seen to pass.
			v.State = Failed
			v.Notes = append(v.Notes, NoteLeak)
		}
		if shut {
			v.Notes = append(v.Notes, NoteShut)
		}
	}
	if m.Observed == Isolated && !m.WayHome {
		v.Notes = append(v.Notes, NoteNoWayHome)
	}
	settled := m.Observed == Isolated || m.Observed == Released
	if settled && (m.Desired == Isolated || m.Desired == Released) && m.Desired != m.Observed {
		v.Notes = append(v.Notes, NoteNotAs)
	}
	return v
}

// AsOf returns the endpoint with its isolation as it may be shown at a moment, see
// [Endpoint.Shown].
func (e Endpoint) AsOf(now time.Time) Endpoint {
	if e.Isolation.Desired == "" {
		e.Isolation.Desired = Unknown
	}
	e.Isolation.Observed = e.Shown(now).State
	return e
}

// known reports whether a state is one that says something.
func (s State) known() bool {
	switch s {
	case Released, Isolating, Isolated, Releasing, Failed:
		return true
	}
	return false
}

// noAnswer is the reason of a trial that should have passed and did not.
const noAnswer = "no_answer"

// contrary reports whether something passed that should be cut, and whether something
// does not pass that should.
func (m Measured) contrary() (leak, shut bool) {
	for _, t := range m.Trials {
		if t.Outcome == Contrary {
			if t.Reason == noAnswer {
				shut = true
			} else {
				leak = true // a reason that we don't know is none to be calm
			}
		}
	}
	return leak, shut
}

// Contrary is what the trials of an isolation show otherwise than ordered: whether something
// passed that should be cut, and whether something does not pass that should.
func (s IsolationStatus) Contrary() (leak, shut bool) { return s.More.contrary() }

// TrialResult is what a trial says to people.
type TrialResult string

// The results.
const (
	ResultCut     TrialResult = "cut"     // as ordered
	ResultPasses  TrialResult = "passes"  // as ordered
	ResultLeaks   TrialResult = "leaks"   // it passes and must not
	ResultShut    TrialResult = "shut"    // it does not pass and must
	ResultUnknown TrialResult = "unknown" // nothing was shown, or too long ago
)

// TrialResults are all of them.
func TrialResults() []TrialResult {
	return []TrialResult{ResultCut, ResultPasses, ResultLeaks, ResultShut, ResultUnknown}
}

// ReasonOld is the reason of a trial that was as ordered once, more than
// [TrialStaleAfter] ago.
const ReasonOld = "old"

// Result returns what a trial of an isolation of a mode says, age after it was made, and
// why. What went wrong is never too old to be told.
func (t Trial) Result(mode string, age time.Duration) (TrialResult, string) {
	open := t.MustPass(mode)
	switch {
	case t.Outcome == AsOrdered && age > TrialStaleAfter:
		return ResultUnknown, ReasonOld
	case t.Outcome == AsOrdered && open:
		return ResultPasses, t.Reason
	case t.Outcome == AsOrdered:
		return ResultCut, t.Reason
	case t.Outcome == Contrary && t.Reason == noAnswer:
		return ResultShut, t.Reason
	case t.Outcome == Contrary:
		return ResultLeaks, t.Reason
	}
	return ResultUnknown, t.Reason
}
