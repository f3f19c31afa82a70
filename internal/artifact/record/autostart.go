package record

import "time"

// SchemaAutostart is what starts by itself.
const SchemaAutostart = "hozen.autostart/1"

// The values of Type of the lines of hozen.autostart; they say which fields a line has.
const (
	AutostartUnit = "unit" // loaded by the system manager
	AutostartFile = "file" // on disk

	AutostartService  = "service"  // Windows: of the service control manager, drivers too
	AutostartRegistry = "registry" // Windows: a value of the registry
)

// StartUnit is one unit that the system manager has loaded, as it says itself.
type StartUnit struct {
	Type        string `json:"type"` // "unit"
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Load        string `json:"load"`   // loaded, not-found, masked, error, …
	Active      string `json:"active"` // active, inactive, failed, …
	Sub         string `json:"sub"`    // running, exited, waiting, …
	Job         string `json:"job,omitempty"`
	// File and FileState are of its unit file: enabled, disabled, static, generated, transient, …
	File      string `json:"file,omitempty"`
	FileState string `json:"file_state,omitempty"`
	// Next and Last are when a timer elapses next and did last.
	Next time.Time `json:"next_at,omitzero"`
	Last time.Time `json:"last_at,omitzero"`
	// Starts is the unit that a timer starts.
	Starts string `json:"starts,omitempty"`
}

// AppendJSON appends u as one JSON object.
func (u *StartUnit) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", u.Type)
	b = strAlways(b, "name", u.Name)
	b = str(b, "description", u.Description)
	b = strAlways(b, "load", u.Load)
	b = strAlways(b, "active", u.Active)
	b = strAlways(b, "sub", u.Sub)
	b = str(b, "job", u.Job)
	b = str(b, "file", u.File)
	b = str(b, "file_state", u.FileState)
	b = when(b, "next_at", u.Next)
	b = when(b, "last_at", u.Last)
	return append(str(b, "starts", u.Starts), '}')
}

// StartFile is a file by which something starts: a unit, a cron table, a login script.
type StartFile struct {
	Type string `json:"type"` // "file"
	// Category is systemd, systemd_user, cron, at, init, profile, preload, udev, desktop or
	// modules; on Windows task or startup.
	Category string `json:"category"`
	FileInfo
	// SHA256 is of the content; absent for what is no file, and where Unread says why.
	SHA256 string `json:"sha256,omitempty"`
	Unread string `json:"unread,omitempty"`
}

// AppendJSON appends f as one JSON object.
func (f *StartFile) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", f.Type)
	b = strAlways(b, "category", f.Category)
	b = f.FileInfo.append(b)
	b = str(b, "sha256", f.SHA256)
	return append(str(b, "unread", f.Unread), '}')
}

// StartService is a service or driver of Windows, as the service control manager tells it.
type StartService struct {
	Type    string `json:"type"` // "service"
	Name    string `json:"name"`
	Display string `json:"display,omitempty"`
	// Kind is kernel_driver, file_system_driver, own_process, share_process, with user_ before it
	// where each person has one, or the number.
	Kind  string `json:"kind"`
	State string `json:"state"`         // running, stopped, …
	Start string `json:"start"`         // boot, system, auto, demand, disabled
	PID   int    `json:"pid,omitempty"` // of the process that runs it
	// Command is the command line, or the file of a driver; Library what a process that is
	// shared loads for it.
	Command string `json:"command,omitempty"`
	Library string `json:"library,omitempty"`
	Account string `json:"account,omitempty"`
	// Unread names what the system did not let the agent read: config.
	Unread []string `json:"unread,omitempty"`
}

// AppendJSON appends s as one JSON object.
func (s *StartService) AppendJSON(b []byte) []byte {
	b = strAlways(append(b, '{'), "type", s.Type)
	b = strAlways(b, "name", s.Name)
	b = str(b, "display", s.Display)
	b = strAlways(b, "kind", s.Kind)
	b = strAlways(b, "state", s.State)
	b = strAlways(b, "start", s.Start)
	b = num(b, "pid", s.PID)
	b = str(b, "command", s.Command)
	b = str(b, "library", s.Library)
	b = str(b, "account", s.Account)
	return append(strs(b, "unread", s.Unread), '}')
}

// StartValue is a value of the registry by which something starts.
type StartValue struct {
	Type string `json:"type"` // "registry"
	// Category is run, logon, loaded (into other programs), instead (of another program),
	// boot or security (packages of the local security authority).
	Category string `json:"category"`
	// Hive is HKLM, or the SID of the person whose it is.
	Hive string `json:"hive"`
	Key  string `json:"key"`
	Name string `json:"name"` // empty: the key's own value
	// Value is its text, several parted by newlines; ValueRaw are its bytes where it is no
	// text or not whole, and ValueKind the number of its type (REG_…).
	Value     string `json:"value,omitempty"`
	ValueRaw  []byte `json:"value_b64,omitempty"`
	ValueKind uint32 `json:"value_kind"`
	// ChangedAt is when the key, not the value alone, was written last.
	ChangedAt time.Time `json:"changed_at,omitzero"`
}

// AppendJSON appends v as one JSON object.
func (v *StartValue) AppendJSON(b []byte) []byte {
	b = strAlways(append(b, '{'), "type", v.Type)
	b = strAlways(b, "category", v.Category)
	b = strAlways(b, "hive", v.Hive)
	b = strAlways(b, "key", v.Key)
	b = strAlways(b, "name", v.Name)
	b = str(b, "value", v.Value)
	b = b64(b, "value_b64", v.ValueRaw)
	b = unumAlways(b, "value_kind", v.ValueKind)
	return append(when(b, "changed_at", v.ChangedAt), '}')
}
