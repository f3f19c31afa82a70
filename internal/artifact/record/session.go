package record

import "time"

// The values of Session.Source.
const (
	SourceLogind = "logind" // /run/systemd/sessions
	SourceUtmp   = "utmp"   // /run/utmp, utmp(5)

	SourceTerminal = "wts" // Windows: the service of terminal sessions
	SourceLSA      = "lsa" // Windows: the local security authority; every sign-in, of services too
	SourceSMB      = "smb" // Windows: another computer that uses this one's shares
)

// Session is one sign-in as one source tells it. The same sign-in may stand in two
// lines, once per source: where they disagree, both are evidence.
type Session struct {
	Source     string    `json:"source"`
	ID         string    `json:"id,omitempty"`   // logind's session identifier; utmp's ut_id
	Kind       string    `json:"kind,omitempty"` // utmp: user, login, init, dead, boot, runlevel, …; logind: its class (user, greeter, …)
	User       string    `json:"user,omitempty"`
	UserRaw    []byte    `json:"user_b64,omitempty"`
	UID        int64     `json:"uid"` // -1 when not known
	TTY        string    `json:"tty,omitempty"`
	TTYRaw     []byte    `json:"tty_b64,omitempty"`
	Seat       string    `json:"seat,omitempty"`
	Display    string    `json:"display,omitempty"`
	Type       string    `json:"type,omitempty"`    // logind: tty, x11, wayland, …
	Service    string    `json:"service,omitempty"` // the PAM service, such as sshd
	Desktop    string    `json:"desktop,omitempty"`
	Scope      string    `json:"scope,omitempty"` // the systemd unit that holds its processes
	State      string    `json:"state,omitempty"` // logind: online, active, closing
	Remote     bool      `json:"remote,omitempty"`
	RemoteHost string    `json:"remote_host,omitempty"`
	HostRaw    []byte    `json:"remote_host_b64,omitempty"`
	RemoteUser string    `json:"remote_user,omitempty"`
	RemoteAddr string    `json:"remote_addr,omitempty"` // utmp's ut_addr_v6
	LeaderPID  int       `json:"leader_pid,omitempty"`
	Audit      int64     `json:"audit_session,omitempty"` // the kernel's audit session
	Since      time.Time `json:"since,omitzero"`

	// Windows only. Type is then how somebody signed in (interactive, network, service, …) and
	// Service who vouched for it (Kerberos, NTLM, …). ID is the number of the session, of lsa
	// that of the sign-in as "logon_id" of processes has it.
	Domain  string `json:"domain,omitempty"`
	UserSID string `json:"user_sid,omitempty"`
	// Terminal is the number of the terminal session that a sign-in belongs to.
	Terminal       string    `json:"terminal,omitempty"`
	LastInputAt    time.Time `json:"last_input_at,omitzero"`
	DisconnectedAt time.Time `json:"disconnected_at,omitzero"`
}

// AppendJSON appends s as one JSON object.
func (s *Session) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "source", s.Source)
	b = str(b, "id", s.ID)
	b = str(b, "kind", s.Kind)
	b = str(b, "user", s.User)
	b = b64(b, "user_b64", s.UserRaw)
	b = numAlways(b, "uid", s.UID)
	b = str(b, "tty", s.TTY)
	b = b64(b, "tty_b64", s.TTYRaw)
	b = str(b, "seat", s.Seat)
	b = str(b, "display", s.Display)
	b = str(b, "type", s.Type)
	b = str(b, "service", s.Service)
	b = str(b, "desktop", s.Desktop)
	b = str(b, "scope", s.Scope)
	b = str(b, "state", s.State)
	b = flag(b, "remote", s.Remote)
	b = str(b, "remote_host", s.RemoteHost)
	b = b64(b, "remote_host_b64", s.HostRaw)
	b = str(b, "remote_user", s.RemoteUser)
	b = str(b, "remote_addr", s.RemoteAddr)
	b = num(b, "leader_pid", s.LeaderPID)
	b = num(b, "audit_session", s.Audit)
	b = when(b, "since", s.Since)
	b = str(b, "domain", s.Domain)
	b = str(b, "user_sid", s.UserSID)
	b = str(b, "terminal", s.Terminal)
	b = when(b, "last_input_at", s.LastInputAt)
	b = when(b, "disconnected_at", s.DisconnectedAt)
	return append(b, '}')
}
