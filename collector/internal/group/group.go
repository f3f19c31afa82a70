// Package group keeps orders to many endpoints at once: who was meant, who was left out
// and why, and which command each of them got. It knows nothing of what a command does.
package group

import (
	"errors"
	"time"
)

// Phase is how far an order to a group has come.
type Phase string

// The phases.
const (
	Capturing Phase = "capturing" // evidence is taken everywhere, before anything is cut
	Ordered   Phase = "ordered"   // every member has its command
)

// Order is one order to many endpoints.
type Order struct {
	ID             string
	OrganisationID string
	Verb           string // "isolate" or "release"
	Phase          Phase
	Reason         string
	IncidentID     string // may be empty: each endpoint's own
	SelectedBy     string // what a person chose: JSON, for the record
	Isolation      string // JSON of what an order to isolate says
	IsolateFirst   bool
	Drill          bool   // as Isolation says
	BreakGlass     string // why a guard rail was passed over; empty: none was
	Issuer         string
	IssuedBy       string
	IssuedAt       time.Time
	CutAt          time.Time // when the members were told to cut; zero: not yet
}

// Member is one endpoint of a group.
type Member struct {
	EndpointID string
	Standing   bool    // it was away: its order waits for it
	LeftOut    string  // why it got no order, a stable code; empty: it got one
	CaptureID  string  // command that takes evidence before the cut; may be empty
	CommandID  string  // command itself; empty until it is given
	Result     *Result // nil: it has not answered yet
	Ended      string  // how the isolation ended without an order, an event's kind; empty: it did not
	EndedAt    time.Time
}

// ErrNotFound means that there is no such group.
var ErrNotFound = errors.New("no such group")
