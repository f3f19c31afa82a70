package record

import "time"

// SchemaPreserve is the format of a decision to take evidence and then switch off.
const SchemaPreserve = "hozen.preserve/1"

// Preserve is the decision that an acquisition of trigger "preserve" goes back to, and
// what was known of what switching off would destroy. An artifact has one line of it.
type Preserve struct {
	Then      string    `json:"then"`             // "nothing", "power_off" or "reboot"
	Via       string    `json:"via"`              // "local": at the PC, "collector": ordered by an operator
	DecidedBy string    `json:"decided_by"`       // account at the PC, or name of the operator
	Reason    string    `json:"reason,omitempty"` // in the words of who decided
	CommandID string    `json:"command_id,omitempty"`
	At        time.Time `json:"at,omitzero"` // endpoint's wall clock
	BootNS    int64     `json:"boot_ns"`     // nanoseconds since boot, sleep included
	// Shown is what the person at the PC was told would be lost, as codes: memory,
	// processes, connections, sessions, unsent_evidence, disk_keys. Empty where nobody
	// was asked at the PC.
	Shown []string `json:"shown,omitempty"`
	// The counts of that moment; -1 where one could not be found out.
	Processes   int `json:"processes"`
	Connections int `json:"connections"` // TCP, established
	Sessions    int `json:"sessions"`
	// What waited in the spool for the collector, without this acquisition.
	UnsentAcquisitions int   `json:"unsent_acquisitions"`
	UnsentBytes        int64 `json:"unsent_bytes"`
	Isolated           bool  `json:"isolated,omitempty"`  // as measured
	Connected          bool  `json:"connected,omitempty"` // with the collector
}

// AppendJSON appends p as one JSON object.
func (p *Preserve) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "then", p.Then)
	b = strAlways(b, "via", p.Via)
	b = strAlways(b, "decided_by", p.DecidedBy)
	b = str(b, "reason", p.Reason)
	b = str(b, "command_id", p.CommandID)
	b = when(b, "at", p.At)
	b = numAlways(b, "boot_ns", p.BootNS)
	b = strs(b, "shown", p.Shown)
	b = numAlways(b, "processes", p.Processes)
	b = numAlways(b, "connections", p.Connections)
	b = numAlways(b, "sessions", p.Sessions)
	b = numAlways(b, "unsent_acquisitions", p.UnsentAcquisitions)
	b = numAlways(b, "unsent_bytes", p.UnsentBytes)
	b = flag(b, "isolated", p.Isolated)
	b = flag(b, "connected", p.Connected)
	return append(b, '}')
}
