package record

// SchemaSecurity is the security tools in place and their state.
const SchemaSecurity = "hozen.security/1"

// The values of SecurityTool.State, the strongest first.
const (
	SecurityRunning   = "running"   // a process of it, or a part of the kernel that is on
	SecurityInstalled = "installed" // it is there and does not run
	SecurityDisabled  = "disabled"  // it is there, and set not to run
	SecurityAbsent    = "absent"    // none of what is known of it was found
	SecurityUnknown   = "unknown"   // the system did not let the agent see
)

// SecurityTool is one tool that was looked for. Those that are not there stand too, so
// that "none" can be told from "not looked".
type SecurityTool struct {
	Name string `json:"name"`
	// Category is antivirus, edr, audit, access (mandatory access control), integrity,
	// firewall, monitoring or kernel.
	Category string `json:"category"`
	State    string `json:"state"`
	// Mode is how it works, in the words of the system: enforcing, permissive, a list of
	// modules, a number of profiles.
	Mode string `json:"mode,omitempty"`
	// Processes are those that carry one of its names; whoever is root can take such a name.
	Processes []ProcRef `json:"processes,omitempty"`
	Units     []string  `json:"units,omitempty"` // unit files that were found, with "enabled", "disabled" or "masked" behind
	Paths     []string  `json:"paths,omitempty"` // files and folders of it that were found
	// Of the kernel's audit (AUDIT_GET of audit(7)): whether it is on, who listens, what was
	// lost.
	AuditEnabled int    `json:"audit_enabled,omitempty"` // 1 on, 2 on and locked
	AuditPID     int    `json:"audit_pid,omitempty"`
	AuditLost    uint32 `json:"audit_lost,omitempty"`
	AuditBacklog uint32 `json:"audit_backlog,omitempty"`
	Detail       string `json:"detail,omitempty"`
}

// AppendJSON appends s as one JSON object.
func (s *SecurityTool) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "name", s.Name)
	b = strAlways(b, "category", s.Category)
	b = strAlways(b, "state", s.State)
	b = str(b, "mode", s.Mode)
	b = procRefs(b, "processes", s.Processes)
	b = strs(b, "units", s.Units)
	b = strs(b, "paths", s.Paths)
	b = num(b, "audit_enabled", s.AuditEnabled)
	b = num(b, "audit_pid", s.AuditPID)
	b = unum(b, "audit_lost", s.AuditLost)
	b = unum(b, "audit_backlog", s.AuditBacklog)
	return append(str(b, "detail", s.Detail), '}')
}
