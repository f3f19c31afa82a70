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
	// Withdrawn is of a command that a person, or the end of its incident, took back
	// before the endpoint confirmed it.
	Withdrawn Status = "withdrawn"
	// NotDown is of a [Preserve] whose evidence was sealed and whose PC, as the endpoint
	// said afterwards, could not be made to go down.
	NotDown Status = "not_down"
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
	Profile        string    // of Acquire
	IsolateFirst   bool      // of Isolate
	Isolation      Isolation // of Isolate; of Release its Notice
	Then           Then      // of Preserve
	IncidentID     string    // may be empty
	Issuer         string    // display name of the operator, for the record on the PC
	IssuedBy       string    // operator ID or "system"
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

// Ends returns after which moment the command must not be begun; zero: never. That of an
// order to go down that was stored without one is its hour plus [DownWithin].
func (c Command) Ends() time.Time {
	if c.ExpiresAt.IsZero() && c.Down() {
		return c.IssuedAt.Add(DownWithin)
	}
	return c.ExpiresAt
}

// Due reports whether the command expired before the endpoint confirmed it; see [Due].
func (c Command) Due(now time.Time) bool {
	return c.Status == Queued && !c.Ends().IsZero() && !c.Ends().After(now)
}

// DownWithin is how long an order to have a PC go down may wait for the endpoint to
// confirm it. Who ordered it knew what was so then, not what is so days later.
const DownWithin = 24 * time.Hour

// Down reports whether the command is one to have the PC go down.
func (c Command) Down() bool { return c.Verb == Preserve && c.Then.Down() }

// Pending reports whether the PC may still go down because of the command. One that
// was confirmed and of which nothing was heard since is given up when its time is over.
func (c Command) Pending(now time.Time) bool {
	return c.Down() && !c.Status.Final() && c.Ends().After(now)
}

// EndedHere reports whether the collector ended the command without a word of the
// endpoint, which may have received it all the same.
func (c Command) EndedHere() bool {
	return c.Status == Withdrawn || c.Status == Expired && c.AcceptedAt.IsZero() && c.FinishedAt.IsZero()
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
