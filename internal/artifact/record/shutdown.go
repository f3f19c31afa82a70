package record

import "time"

// SchemaShutdown names the lines of an artifact of the kind "shutdown".
const SchemaShutdown = "hozen.shutdown/1"

// The values of Shutdown.Reason.
const (
	ReasonDown      = "down"      // the PC goes down now
	ReasonScheduled = "scheduled" // the PC goes down at a set time; an early capture
	ReasonSleep     = "sleep"     // the PC is suspended or hibernates
	ReasonLogoff    = "logoff"    // somebody signs out
)

// Shutdown is why an acquisition was run before the PC went down or to sleep, as it
// stood when the acquisition was made. An artifact has one line of it. How it went on,
// how long the PC was held, stands in what the next boot acquires.
type Shutdown struct {
	Reason       string `json:"reason"`
	BootID       string `json:"boot_id,omitempty"`
	IncidentOpen bool   `json:"incident_open,omitempty"`
	// AllowedNS is how long the system lets itself be held, 0 when not known; HoldNS how
	// much of that the agent allowed itself.
	AllowedNS int64            `json:"allowed_ns,omitempty"`
	HoldNS    int64            `json:"hold_ns,omitempty"`
	Notices   []ShutdownNotice `json:"notices,omitempty"` // of this boot, oldest first, the newest 64
}

// ShutdownNotice is one thing that told the agent of a shutdown or a suspend.
type ShutdownNotice struct {
	At     time.Time `json:"at"`      // the endpoint's clock
	BootNS int64     `json:"boot_ns"` // nanoseconds since boot, sleep included; 0 when not known
	// Event is "down", "cancelled", "scheduled", "unscheduled", "sleep", "resumed" or "logoff".
	Event string `json:"event"`
	// Source is who told: "logind", "companion" or "preserve"; on Windows "session", "event_log",
	// "service" or "rehearsal".
	Source string `json:"source"`
	// Type is how the PC goes down: "poweroff", "reboot", "halt", "kexec", "soft-reboot", …;
	// empty when nobody said.
	Type string    `json:"type,omitempty"`
	For  time.Time `json:"for,omitzero"` // when it is scheduled for
	// Who asked, as far as the source knows.
	ByUID int64  `json:"by_uid"` // -1 when not known
	ByPID int    `json:"by_pid,omitempty"`
	ByTTY string `json:"by_tty,omitempty"`
}

// AppendJSON appends s as one JSON object.
func (s *Shutdown) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "reason", s.Reason)
	b = str(b, "boot_id", s.BootID)
	b = flag(b, "incident_open", s.IncidentOpen)
	b = num(b, "allowed_ns", s.AllowedNS)
	b = num(b, "hold_ns", s.HoldNS)
	if len(s.Notices) > 0 {
		b = append(key(b, "notices"), '[')
		for i := range s.Notices {
			if i > 0 {
				b = append(b, ',')
			}
			b = s.Notices[i].AppendJSON(b)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// AppendJSON appends n as one JSON object.
func (n *ShutdownNotice) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	if b = when(b, "at", n.At); b[len(b)-1] == '{' {
		b = append(b, `"at":"0001-01-01T00:00:00Z"`...)
	}
	b = numAlways(b, "boot_ns", n.BootNS)
	b = strAlways(b, "event", n.Event)
	b = strAlways(b, "source", n.Source)
	b = str(b, "type", n.Type)
	b = when(b, "for", n.For)
	b = numAlways(b, "by_uid", n.ByUID)
	b = num(b, "by_pid", n.ByPID)
	b = str(b, "by_tty", n.ByTTY)
	return append(b, '}')
}
