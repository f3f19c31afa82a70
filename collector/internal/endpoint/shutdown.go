package endpoint

import (
	"encoding/json"
	"time"
)

// Shutdown is why evidence was taken before a PC went down or to sleep, as the
// endpoint's own record [record.Shutdown] says; nothing in it is trusted.
type Shutdown struct {
	Reason string // down, scheduled, sleep; as it came
	Source string // who told the agent last: logind, companion, preserve
	Type   string // how the PC goes down: poweroff, reboot, …; empty when nobody said
	ByTTY  string // where it was asked for; empty when not known
	ByUID  int64  // account that asked, -1 when not known
	// Allowed is how long the system lets itself be held, Hold how much of that the agent
	// allowed itself; negative when not known.
	Allowed, Hold time.Duration
}

// maxShutdownNotices is how many notices are looked at.
const maxShutdownNotices = 256

// ReadShutdown reads one line of a record "hozen.shutdown/1" as [ReadBoot] reads its
// own. It reports false for what is no record at all.
func ReadShutdown(line []byte) (Shutdown, bool) {
	s := Shutdown{ByUID: -1, Allowed: -1, Hold: -1}
	var m members
	if json.Unmarshal(line, &m) != nil || m["reason"] == nil {
		return s, false
	}
	s.Reason = m.text("reason", maxBootWord)
	if n := m.nanoseconds("allowed_ns"); n > 0 {
		s.Allowed = n
	}
	if n := m.nanoseconds("hold_ns"); n > 0 {
		s.Hold = n
	}
	var all []json.RawMessage
	if json.Unmarshal(m["notices"], &all) != nil {
		return s, true
	}
	// The newest that says how it goes down; the last one where none does.
	for i := len(all) - 1; i >= max(0, len(all)-maxShutdownNotices); i-- {
		var n members
		if json.Unmarshal(all[i], &n) != nil {
			continue
		}
		if event := n.text("event", maxBootWord); event != "down" && event != "scheduled" && event != "sleep" {
			continue
		}
		kind := n.text("type", maxBootWord)
		if s.Source != "" && kind == "" {
			continue
		}
		s.Source, s.Type, s.ByTTY, s.ByUID = n.text("source", maxBootWord), kind, n.text("by_tty", maxBootWord), -1
		if uid := n.nanoseconds("by_uid"); uid >= 0 {
			s.ByUID = int64(uid)
		}
		if kind != "" {
			break
		}
	}
	return s, true
}
