package record

import "time"

// SchemaLogin is sign-ins of the past.
const SchemaLogin = "hozen.login/1"

// The values of Login.Source beside SourceUtmp's relatives.
const (
	SourceWtmp    = "wtmp"    // who was signed in, and when the system began and ended
	SourceBtmp    = "btmp"    // who tried and failed
	SourceLastlog = "lastlog" // the last sign-in of each user
)

// Login is one record of the system's history of sign-ins (utmp(5), lastlog(8)).
type Login struct {
	Source string `json:"source"`
	Kind   string `json:"kind,omitempty"` // user, dead, boot, runlevel, …
	User   string `json:"user,omitempty"`
	// UserRaw are its exact bytes where they are not UTF-8: people type passwords in its
	// place, and attackers anything.
	UserRaw []byte    `json:"user_b64,omitempty"`
	UID     int64     `json:"uid"` // of lastlog; -1 for others
	TTY     string    `json:"tty,omitempty"`
	Host    string    `json:"host,omitempty"`
	HostRaw []byte    `json:"host_b64,omitempty"`
	Addr    string    `json:"addr,omitempty"`
	PID     int       `json:"pid,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// AppendJSON appends l as one JSON object.
func (l *Login) AppendJSON(b []byte) []byte {
	b = strAlways(append(b, '{'), "source", l.Source)
	b = str(b, "kind", l.Kind)
	b = str(b, "user", l.User)
	b = b64(b, "user_b64", l.UserRaw)
	b = numAlways(b, "uid", l.UID)
	b = str(b, "tty", l.TTY)
	b = str(b, "host", l.Host)
	b = b64(b, "host_b64", l.HostRaw)
	b = str(b, "addr", l.Addr)
	b = num(b, "pid", l.PID)
	return append(when(b, "at", l.At), '}')
}
