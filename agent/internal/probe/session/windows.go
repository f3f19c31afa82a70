package session

import (
	"fmt"
	"time"

	"hozen/agent/internal/probe/winbytes"
	"hozen/internal/artifact/record"
)

// terminal is what Windows told of a terminal session.
type terminal struct {
	id            uint32
	station       []uint16
	state         uint32
	info, address []byte
	client        []uint16
}

// record makes a record of it. One that listens for others is nobody's.
func (t terminal) record() (r record.Session, ok bool) {
	r = record.Session{Source: record.SourceTerminal, ID: fmt.Sprint(t.id), UID: record.Unknown, State: winbytes.TerminalState(t.state)}
	r.TTY, r.TTYRaw = winbytes.Text16(t.station)
	if i, err := winbytes.TerminalSession(t.info); err == nil {
		r.User, r.Domain, r.Since, r.LastInputAt, r.DisconnectedAt = i.User, i.Domain, i.LoggedOn, i.LastInput, i.Disconnected
	}
	r.RemoteHost, r.HostRaw = winbytes.Text16(t.client)
	if a := winbytes.TerminalClient(t.address); a.IsValid() {
		r.RemoteAddr, r.Remote = a.String(), true
	}
	return r, r.State != "listen"
}

// logon is a sign-in of the local security authority.
type logon struct {
	id                uint64
	user, domain, pkg []uint16
	kind, session     uint32
	sid               string
	at                int64
}

func (l logon) record() record.Session {
	r := record.Session{
		Source: record.SourceLSA, ID: fmt.Sprintf("%x", l.id), UID: record.Unknown, UserSID: l.sid, Type: winbytes.LogonType(l.kind),
		Terminal: fmt.Sprint(l.session), Since: winbytes.Time(l.at),
	}
	r.User, r.UserRaw = winbytes.Text16(l.user)
	r.Domain, _ = winbytes.Text16(l.domain)
	r.Service, _ = winbytes.Text16(l.pkg)
	r.Remote = r.Type == "network" || r.Type == "network_cleartext" || r.Type == "remote_interactive" || r.Type == "cached_remote_interactive"
	return r
}

// visitor is another computer that uses this one's shares.
type visitor struct {
	computer, user []uint16
	seconds, idle  uint32
}

func (v visitor) record(now time.Time) record.Session {
	r := record.Session{Source: record.SourceSMB, UID: record.Unknown, Remote: true, Type: "network", Since: now.Add(-time.Duration(v.seconds) * time.Second).UTC().Truncate(time.Second)}
	r.RemoteHost, r.HostRaw = winbytes.Text16(v.computer)
	r.User, r.UserRaw = winbytes.Text16(v.user)
	r.LastInputAt = now.Add(-time.Duration(v.idle) * time.Second).UTC().Truncate(time.Second)
	return r
}
