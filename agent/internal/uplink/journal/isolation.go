package journal

import "time"

// Mode is which traffic stays allowed while isolated.
type Mode string

// The modes.
const (
	ModeStandard  Mode = "standard"
	ModeSelective Mode = "selective"
	ModeFull      Mode = "full"
)

// Fallback is what becomes of an isolation through which the collector is not reached.
type Fallback string

// The fallbacks.
const (
	StayClosed Fallback = "stay_closed"
	RollBack   Fallback = "roll_back"
)

// The transport protocols of a permit.
const (
	ProtocolTCP = "tcp"
	ProtocolUDP = "udp"
)

// IsolateOrder is what [Isolate] says besides; nil in a command means standard mode and
// nothing more, as orders of earlier versions meant.
type IsolateOrder struct {
	Mode    Mode     `json:"mode"`
	Permits []Permit `json:"permits,omitempty"` // of ModeSelective
	// Until is when it ends by itself; zero: never.
	Until time.Time `json:"until,omitzero"`
	// ConfirmWithin is how long reaching the collector may take before Fallback is taken;
	// 0: the order counts at once.
	ConfirmWithin time.Duration `json:"confirm_within_ns,omitempty"`
	Fallback      Fallback      `json:"fallback,omitempty"`
	// Lease is how long the collector need not be heard before that is told; 0: no lease.
	Lease time.Duration `json:"lease_ns,omitempty"`
	// Code is the way back without the collector; nil: there is none. It is never logged.
	Code  *ReleaseCode `json:"code,omitempty"`
	Drill bool         `json:"drill,omitempty"`
	// Collectors are "address:port", kept open besides those that the agent knows.
	Collectors []string `json:"collectors,omitempty"`
}

// Permit is one way that stays open; what it says was not looked at yet.
type Permit struct {
	Network   string    `json:"network"`  // "192.0.2.7/32"
	Protocol  string    `json:"protocol"` // ProtocolTCP, ProtocolUDP, or empty: not said
	First     uint32    `json:"first_port"`
	Last      uint32    `json:"last_port"`
	Reason    string    `json:"reason,omitempty"`
	Host      string    `json:"host,omitempty"` // from which the collector made Network
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// ReleaseCode is what checks a code; the code itself is not in it.
type ReleaseCode struct {
	Number     string `json:"number"`
	Hash       []byte `json:"hash"`
	Salt       []byte `json:"salt"`
	Iterations uint32 `json:"iterations"`
}

// Notice is what the person at the PC is told.
type Notice struct {
	Text  string `json:"text,omitempty"`
	Phone string `json:"phone,omitempty"`
}

// State is a state of the endpoint's network.
type State string

// The states.
const (
	StateUnknown   State = "unknown"
	StateReleased  State = "released"
	StateIsolating State = "isolating"
	StateIsolated  State = "isolated"
	StateReleasing State = "releasing"
	StateFailed    State = "failed"
)

// Isolation is what was measured of the endpoint's network.
type Isolation struct {
	Desired        State     `json:"desired"`
	Observed       State     `json:"observed"`
	MeasuredAt     time.Time `json:"measured_at,omitzero"`
	WayHome        bool      `json:"way_home,omitempty"`
	RulesDigest    string    `json:"rules_digest,omitempty"`
	DroppedPackets uint64    `json:"dropped_packets,omitempty"`
	Detail         string    `json:"detail,omitempty"`
	CommandID      string    `json:"command_id,omitempty"`
	Capable        bool      `json:"capable,omitempty"`
	Persisted      bool      `json:"persisted,omitempty"` // the order is on disk

	Mode         Mode          `json:"mode,omitempty"`         // empty while released
	Until        time.Time     `json:"until,omitzero"`         // zero: it does not end by itself
	LeaseUntil   time.Time     `json:"lease_until,omitzero"`   // zero: no lease
	Confirmation *Confirmation `json:"confirmation,omitempty"` // nil where none was asked for
	Severed      *Severed      `json:"severed,omitempty"`      // nil if nobody looked
	Held         string        `json:"held,omitempty"`         // "here", "elsewhere", "nobody" or empty
	Trials       []Trial       `json:"trials,omitempty"`       // newest of each kind
	Drill        bool          `json:"drill,omitempty"`        // it is one
	Limits       []string      `json:"limits,omitempty"`       // what this kernel cannot do
	Tunnels      []Tunnel      `json:"tunnels,omitempty"`      // that lead to the collector, and stay open
	// Others says whether rules of others are as before: "same", "differs", "unknown", or
	// empty but after a release; OthersDifferences are in what.
	Others            string   `json:"others,omitempty"`
	OthersDifferences []string `json:"others_differences,omitempty"`
}

// Tunnel is the outer end of a tunnel, as isolate.Tunnel.
type Tunnel struct {
	Address  string    `json:"address"`
	Protocol uint8     `json:"protocol"`
	Port     uint16    `json:"port,omitempty"`
	Link     string    `json:"link,omitempty"`
	Why      string    `json:"why,omitempty"`
	Since    time.Time `json:"since,omitzero"`
}

// Confirmation is how far an order was confirmed by a connection through it.
type Confirmation struct {
	By          time.Time `json:"by"`
	Fallback    Fallback  `json:"fallback"`
	ConfirmedAt time.Time `json:"confirmed_at,omitzero"`
	MissedAt    time.Time `json:"missed_at,omitzero"`
}

// Severed is what came of the connections that existed at the cut.
type Severed struct {
	At          time.Time     `json:"at"`
	Took        time.Duration `json:"took_ns"`
	Destroyed   int           `json:"destroyed"`
	Gone        int           `json:"gone,omitempty"`
	Failed      int           `json:"failed,omitempty"`
	Unsupported bool          `json:"unsupported,omitempty"`
	Detail      string        `json:"detail,omitempty"` // English
	// First are the first of them, with their process; all are evidence.
	First []string `json:"first,omitempty"`
}

// TrialOutcome is what came of a trial.
type TrialOutcome string

// The outcomes.
const (
	TrialAsOrdered TrialOutcome = "as_ordered"
	TrialContrary  TrialOutcome = "contrary"
	TrialUnknown   TrialOutcome = "unknown"
)

// Trial is one thing that was tried through the rules.
type Trial struct {
	Name    string       `json:"name"`
	Outcome TrialOutcome `json:"outcome"`
	Reason  string       `json:"reason,omitempty"`
	Target  string       `json:"target,omitempty"`
	At      time.Time    `json:"at,omitzero"`
	Dropped uint64       `json:"dropped,omitempty"`
}

// EventKind is what happened to an isolation without an order of that moment.
type EventKind string

// The kinds.
const (
	EventDrift               EventKind = "drift"
	EventNotInForce          EventKind = "not_in_force"
	EventReleasedByCode      EventKind = "released_by_code"
	EventCodeRefused         EventKind = "code_refused"
	EventReleasedByTime      EventKind = "released_by_time"
	EventRolledBack          EventKind = "rolled_back"
	EventLeaseLapsed         EventKind = "lease_lapsed"
	EventRecordLost          EventKind = "record_lost"
	EventLeak                EventKind = "leak"
	EventReleasedByUninstall EventKind = "released_by_uninstall"
	EventPermitEnded         EventKind = "permit_ended"
	EventTunnelChanged       EventKind = "tunnel_changed"
	EventOthersRules         EventKind = "others_rules"
)

// IsolationEvent is one of these, as it was measured.
type IsolationEvent struct {
	ID          string     `json:"id"`
	Kind        EventKind  `json:"kind"`
	At          time.Time  `json:"at"`
	CommandID   string     `json:"command_id,omitempty"`
	Differences []string   `json:"differences,omitempty"`
	Seen        []string   `json:"seen,omitempty"`
	By          string     `json:"by,omitempty"`
	Detail      string     `json:"detail,omitempty"`
	Isolation   *Isolation `json:"isolation,omitempty"`
	// Count is how many times the same happened since the event of this kind before it,
	// those that were dropped among them.
	Count int `json:"count"`
	// Dropped is how many events before it were given up because too many waited.
	Dropped int `json:"dropped,omitempty"`
}
