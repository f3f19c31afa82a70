// Package dispatch keeps the orders to endpoints: stored before they are sent,
// idempotent by identifier, waiting for endpoints that are away, ending in a
// measured result. It knows nothing of gRPC.
package dispatch

import (
	"errors"
	"time"
)

// Verb is what an agent can be ordered to do; the list is fixed.
type Verb string

// The verbs of this version.
const (
	Acquire  Verb = "acquire"
	Isolate  Verb = "isolate"
	Release  Verb = "release"
	Preserve Verb = "preserve" // take evidence, seal it, then do what [Command.Then] says
)

// Then is what comes after the evidence of [Preserve] is sealed.
type Then string

// What can come then.
const (
	ThenNothing  Then = "nothing"
	ThenPowerOff Then = "power_off"
	ThenReboot   Then = "reboot"
)

// Down reports whether the PC goes down.
func (t Then) Down() bool { return t == ThenPowerOff || t == ThenReboot }

// Status is how far a command has come.
type Status string

// The statuses, in the order of a life.
const (
	Queued      Status = "queued" // stored; the endpoint has not confirmed it
	Accepted    Status = "accepted"
	Done        Status = "done"
	Failed      Status = "failed"
	Expired     Status = "expired"
	Unsupported Status = "unsupported"
	Refused     Status = "refused"
)

// Final reports whether nothing more will come of it.
func (s Status) Final() bool { return s != Queued && s != Accepted }

// Command is one order to one endpoint.
type Command struct {
	ID             string
	OrganisationID string
	EndpointID     string
	Counter        uint64 // counts up per endpoint
	Verb           Verb
	Profile        string // of Acquire
	IsolateFirst   bool   // of Isolate
	Then           Then   // of Preserve
	IncidentID     string // may be empty
	Issuer         string // display name of the operator, for the record on the PC
	IssuedBy       string // operator ID or "system"
	Reason         string
	IssuedAt       time.Time
	ExpiresAt      time.Time // zero: never
	Status         Status
	AcceptedAt     time.Time
	FinishedAt     time.Time // agent clock
	ReceivedAt     time.Time // collector clock, when the result arrived
	Detail         string
	AcquisitionID  string
}

// Due reports whether the command expired before the endpoint confirmed it; see [Due].
func (c Command) Due(now time.Time) bool {
	return c.Status == Queued && !c.ExpiresAt.IsZero() && !c.ExpiresAt.After(now)
}

// Result is what came of a command.
type Result struct {
	CommandID     string
	Status        Status
	Detail        string
	FinishedAt    time.Time
	AcquisitionID string
}

// MaxReason and MaxDetail bound what people and agents write, in bytes.
const (
	MaxReason = 1024
	MaxDetail = 4096
)

// ErrNotFound means that there is no such command.
var ErrNotFound = errors.New("no such command")
