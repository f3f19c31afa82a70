package isolate

import "time"

// Happening is something that happened without an order of this moment.
type Happening struct {
	// Kind is what happened, At the agent's wall clock when it did.
	Kind Kind      `json:"kind"`
	At   time.Time `json:"at"`
	// CommandID is the order that is in force or was, if it is known.
	CommandID string `json:"command_id,omitempty"`
	// By is who at the endpoint did it, where somebody did.
	By string `json:"by,omitempty"`
	// Detail says anything else in English.
	Detail string `json:"detail,omitempty"`
	// Differences are what was different from what was ordered, Seen what the kernel told
	// of it.
	Differences []string `json:"differences,omitempty"`
	Seen        []string `json:"seen,omitempty"`
	// Status is isolation as measured afterwards.
	Status Status `json:"status"`
	// Count is how many times it happened since the last Happening of its kind, at least
	// 1; the rest is that of the last time.
	Count int `json:"count"`
}

// Kind is what happened. Kinds are stable codes.
type Kind string

// The kinds.
const (
	// HappenedDrift: somebody else changed the rules, and they were put right.
	HappenedDrift Kind = "drift"
	// HappenedNotInForce: the rules are not as ordered and could not be put right.
	HappenedNotInForce Kind = "not_in_force"
	// HappenedReleasedByCode: released at the endpoint by the code.
	HappenedReleasedByCode Kind = "released_by_code"
	// HappenedCodeRefused: a wrong code was given.
	HappenedCodeRefused Kind = "code_refused"
	// HappenedReleasedByTime: released because Until was over.
	HappenedReleasedByTime Kind = "released_by_time"
	// HappenedRolledBack: the collector was not reached in time, and the order was rolled
	// back as it said.
	HappenedRolledBack Kind = "rolled_back"
	// HappenedLeaseLapsed: the collector was not heard for as long as the lease; still
	// isolated.
	HappenedLeaseLapsed Kind = "lease_lapsed"
	// HappenedRecordLost: the record of the order was missing or damaged; kept closed.
	HappenedRecordLost Kind = "record_lost"
	// HappenedLeak: a trial came out otherwise than it should.
	HappenedLeak Kind = "leak"
	// HappenedPermitEnded: a permit came to its end.
	HappenedPermitEnded Kind = "permit_ended"
	// HappenedReleasedByUninstall: released because the agent was uninstalled.
	HappenedReleasedByUninstall Kind = "released_by_uninstall"
)
