// Package endpoint is the inventory of the PCs and servers we look after: what
// they said of themselves, when they were last seen, their isolation as it was
// measured, and how their boots ended. It knows nothing of certificates, commands or gRPC.
package endpoint

import (
	"errors"
	"time"
)

// State is a state of an endpoint's network as [IsolationStatus] carries it.
type State string

// The states. Unknown is never shown as isolated.
const (
	Unknown   State = "unknown"
	Released  State = "released"
	Isolating State = "isolating"
	Isolated  State = "isolated"
	Releasing State = "releasing"
	Failed    State = "failed"
)

// ClockJump is how much the clock of an endpoint must move against ours to be a fact of
// the case: less is the time that messages take when much is going on.
const ClockJump = 10 * time.Second

// Endpoint is one PC or server; it survives reinstalling the agent.
type Endpoint struct {
	ID             string
	OrganisationID string
	Label          string // name given by people; empty shows Hostname
	Hostname       string
	OS             string // GOOS
	Arch           string // GOARCH
	Platform       string // for people, such as "debian 12.11"
	AgentVersion   string
	Capability     uint32
	BootID         string
	EnrolledAt     time.Time
	LastSeenAt     time.Time     // zero before the first connection
	ClockOffset    time.Duration // agent clock minus collector clock by its newest word
	Online         bool          // has a live control stream now
	RevokedAt      time.Time     // zero while enrolled
	Spooled        uint32        // sealed acquisitions waiting on the PC
	Isolation      IsolationStatus
	RemoteAddr     string   // address that it last connected from
	Site           string   // where it stands; empty: nobody said
	Purpose        Purpose  // what it is
	Tags           []string // sorted; only where [Tags] was asked
	Origin         Origin   // how it became known
}

// Origin is how an endpoint became known.
type Origin string

// The origins. Enrolled is empty, because all were before there was another.
const (
	Enrolled Origin = ""
	ByKit    Origin = "kit" // by evidence that came with a USB kit; it has no agent that could be ordered
)

// IsolationStatus is what the agent measured.
type IsolationStatus struct {
	Desired        State
	Observed       State
	MeasuredAt     time.Time // agent clock
	ReceivedAt     time.Time // collector clock; zero when never received
	WayHome        bool
	RulesDigest    string
	DroppedPackets uint64
	Detail         string
	CommandID      string
	Capable        bool // the system can isolate at all
	More           Measured
}

// Description is what an endpoint says of itself in Hello; nothing in it is trusted.
type Description struct {
	Hostname, OS, Arch, Platform, AgentVersion string
	Capability                                 uint32
	BootID                                     string
	AgentTime                                  time.Time
	Spooled                                    uint32
	SpooledBytes                               uint64
	Isolation                                  IsolationStatus
	CommandCounter                             uint64 // highest of a command that the agent ever accepted; not kept
}

// MaxLabel is the longest label in bytes.
const MaxLabel = 128

// ErrNotFound means that there is no such endpoint.
var ErrNotFound = errors.New("no such endpoint")
