package isolate

import (
	"errors"
	"strings"
	"time"
)

// Reason says why the observed state is Failed or Unknown. Reasons are stable codes.
type Reason string

// The reasons.
const (
	// NeedsRoot: this process may not touch the firewall.
	NeedsRoot Reason = "needs_root"
	// NotSupported: this system has no firewall that we know.
	NotSupported Reason = "unsupported"
	// Unmeasured: reading back failed or took too long.
	Unmeasured Reason = "unmeasured"
	// NotInForce: ordered isolated, but nothing of ours is in force.
	NotInForce Reason = "not_in_force"
	// Incomplete: ordered isolated, but something is missing or was changed.
	Incomplete Reason = "incomplete"
	// Leak: the rules were read back as ordered, but a trial shows that they do not hold.
	Leak Reason = "leak"
	// Leftover: ordered released, but something of ours is still in force.
	Leftover Reason = "leftover"
)

// BeforeOutcome is what came of the work before the cut, such as the flash capture.
type BeforeOutcome string

// The outcomes. The empty outcome means that there was nothing to do.
const (
	BeforeDone     BeforeOutcome = "done"
	BeforeFailed   BeforeOutcome = "failed"
	BeforeTimedOut BeforeOutcome = "timed_out"
	BeforeSkipped  BeforeOutcome = "skipped"
)

// Status is what was ordered and, apart from it, what was measured.
type Status struct {
	// Desired is Released or Isolated: the last order, or Isolated when the record of it
	// was lost.
	Desired State `json:"desired"`
	// Observed is the result of this measurement. It is Isolated only if the kernel's
	// rules were read back and are complete.
	Observed State `json:"observed"`
	// Reason is set when Observed is Failed or Unknown.
	Reason Reason `json:"reason,omitempty"`
	// Detail says in English what is not as ordered. Empty when all is well.
	Detail string `json:"detail,omitempty"`
	// CommandID, OrderedAt and Policy are those of the last order.
	CommandID string    `json:"command_id,omitempty"`
	OrderedAt time.Time `json:"ordered_at,omitzero"`
	Policy    Policy    `json:"policy,omitzero"`
	// Capable means that this process on this system can isolate at all.
	Capable bool `json:"capable"`
	// Persisted means that the order is on disk and outlives a restart.
	Persisted bool `json:"persisted"`
	// RecordLost means that the record of the last order was missing or damaged where
	// isolation was known, so that the endpoint was kept closed.
	RecordLost bool `json:"record_lost,omitempty"`
	// Before is what came of the work before the cut, in the answer to Isolate alone.
	Before BeforeOutcome `json:"before,omitempty"`
	// WayHome is the last attempt to reach the collector through the rules, nil if there
	// was none since the order.
	WayHome *WayHome `json:"way_home,omitempty"`
	// Severed is what came of the connections that existed when the network was cut, nil
	// if nobody looked since the order.
	Severed *Severed `json:"severed,omitempty"`
	// Confirm is how far the order was confirmed, nil if it needs no confirmation. With
	// Missed set and Desired Released the order was rolled back.
	Confirm *Confirm `json:"confirm,omitempty"`
	// Until is when the isolation ends by itself because a person ordered so, by the
	// agent's wall clock. Zero: never.
	Until time.Time `json:"until,omitzero"`
	// LeaseUntil is until when the collector need not be heard, zero without lease.
	// LeaseLapsed means that it was not; the endpoint stays isolated all the same.
	LeaseUntil  time.Time `json:"lease_until,omitzero"`
	LeaseLapsed bool      `json:"lease_lapsed,omitempty"`
	// CodeNumber is the number of the code by which somebody at the endpoint can end the
	// isolation, empty if there is none.
	CodeNumber string `json:"code_number,omitempty"`
	// Notice is what the person at the endpoint is told.
	Notice Notice `json:"notice,omitzero"`
	// Drill means that it is a drill.
	Drill bool `json:"drill,omitempty"`
	// Ended is how the last isolation ended without an order, nil if it did not.
	Ended *Ended `json:"ended,omitempty"`
	// Trials are what was tried through the rules since the order, each with its time, and
	// the leaks of before that nothing has shown to be over.
	Trials []Trial `json:"trials,omitempty"`
	// Drift is what a Reconcile found changed and put right, in its answer alone.
	Drift []string `json:"drift,omitempty"`
	// Moved is what a Reconcile opened and closed because another tunnel leads to the
	// collector, in its answer alone.
	Moved []string `json:"moved,omitempty"`
	// Seen is what the kernel told about it while it happened: which rules or devices,
	// and which program. Empty if nobody watched. In the answer of Reconcile alone.
	Seen []string `json:"seen,omitempty"`
	// Others says whether the release left the rules of others as they were, nil but after
	// one.
	Others *Others `json:"others,omitempty"`
	// Observation is the measurement itself, zero if it failed.
	Observation Observation `json:"observation,omitzero"`
}

// WayHome is one attempt to reach the collector through the rules.
type WayHome struct {
	OK     bool      `json:"ok"`
	At     time.Time `json:"at"`
	Detail string    `json:"detail,omitempty"`
}

// matches reports whether what was measured is what was ordered.
func (s Status) matches() bool { return s.Observed == s.Desired }

// inForce reports whether the kernel enforces what was ordered, whatever trials show.
func (s Status) inForce() bool { return s.matches() || s.Reason == Leak }

// judge turns a measurement into a state. It is the only place that may say Isolated; trials
// may take that back.
func judge(desired State, o Observation, err error) (State, Reason, string) {
	switch {
	case errors.Is(err, ErrNeedsRoot):
		return Unknown, NeedsRoot, err.Error()
	case errors.Is(err, errors.ErrUnsupported):
		return Unknown, NotSupported, err.Error()
	case err != nil:
		return Unknown, Unmeasured, err.Error()
	case desired == Isolated && o.Complete && o.Present && len(o.Gaps) == 0:
		return Isolated, "", ""
	case desired == Isolated && o.Present:
		return Failed, Incomplete, strings.Join(o.Gaps, "; ")
	case desired == Isolated:
		return Failed, NotInForce, "none of our rules is in force"
	case o.Present:
		return Failed, Leftover, "rules of ours are still in force: " + strings.Join(o.Tables, ", ")
	default:
		return Released, "", ""
	}
}
