package journal

import "time"

// Verb is what an agent can be ordered to do; the list is fixed.
type Verb string

// The verbs of this version.
const (
	Acquire Verb = "acquire"
	Isolate Verb = "isolate"
	Release Verb = "release"
	// Preserve takes evidence and then does what [Command.Then] says.
	Preserve Verb = "preserve"
	// Unknown is a verb of a newer collector; it is answered, never carried out.
	Unknown Verb = "unknown"
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

// Command is one order. All times are the collector's.
type Command struct {
	ID           string `json:"id"`
	Counter      uint64 `json:"counter"`
	Verb         Verb   `json:"verb"`
	Profile      string `json:"profile,omitempty"`       // of Acquire
	IsolateFirst bool   `json:"isolate_first,omitempty"` // of Isolate
	Then         Then   `json:"then,omitempty"`          // of Preserve
	// Isolate is what Isolate says besides, Notice what the person at the PC is told of
	// Isolate and Release.
	Isolate    *IsolateOrder `json:"isolate,omitempty"`
	Notice     *Notice       `json:"notice,omitempty"`
	Issuer     string        `json:"issuer,omitempty"`
	Reason     string        `json:"reason,omitempty"`
	IncidentID string        `json:"incident_id,omitempty"`
	IssuedAt   time.Time     `json:"issued_at"`
	ExpiresAt  time.Time     `json:"expires_at,omitzero"` // zero: never
	// AcquisitionID is what its evidence will be called; the agent chose it when it
	// accepted the command, so that doing it again after a crash makes nothing twice.
	AcquisitionID string `json:"acquisition_id"`
}

// Status is how a command ended.
type Status string

// The statuses.
const (
	Done        Status = "done"
	Failed      Status = "failed"
	Expired     Status = "expired"
	Unsupported Status = "unsupported"
	Refused     Status = "refused"
)

// Result is what came of a command, as measured. Times are the agent's.
type Result struct {
	CommandID     string     `json:"command_id"`
	Status        Status     `json:"status"`
	Detail        string     `json:"detail,omitempty"`
	FinishedAt    time.Time  `json:"finished_at"`
	AcquisitionID string     `json:"acquisition_id,omitempty"` // empty when none was made
	Isolation     *Isolation `json:"isolation,omitempty"`
}

// Alert is the PC user's report of trouble.
type Alert struct {
	ID         string    `json:"id"`
	Message    string    `json:"message"`
	Reporter   string    `json:"reporter"`
	ReportedAt time.Time `json:"reported_at"`
}

// AlertReceipt is the collector's word that it has an alert.
type AlertReceipt struct {
	AlertID        string `json:"alert_id"`
	IncidentNumber string `json:"incident_number"`
	IncidentID     string `json:"incident_id"`
}

// Entry is one command and how far it has come.
type Entry struct {
	Command   Command
	Started   bool    // it was begun, perhaps by a process that died
	Result    *Result // nil while unfinished
	Confirmed bool    // the collector has the result
	bytes     int64   // of its lines in the file
	order     int64   // of the first of them
}
