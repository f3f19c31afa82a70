package record

import "time"

// SchemaAutostart is what starts by itself.
const SchemaAutostart = "hozen.autostart/1"

// The values of Type of the lines of hozen.autostart; they say which fields a line has.
const (
	AutostartUnit = "unit" // loaded by the system manager
	AutostartFile = "file" // on disk
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
	// Category is systemd, systemd_user, cron, at, init, profile, preload, udev, desktop or modules.
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
