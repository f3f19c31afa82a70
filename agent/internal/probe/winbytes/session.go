package winbytes

import (
	"net/netip"
	"time"
)

// Terminal is a terminal session.
type Terminal struct {
	State        string
	ID           uint32
	Station      string
	Domain, User string
	Connected    time.Time
	Disconnected time.Time
	LastInput    time.Time
	LoggedOn     time.Time
}

// TerminalSession reads a WTSINFOW (wtsapi32.h).
func TerminalSession(b []byte) (Terminal, error) {
	v := view{b: b}
	t := Terminal{
		State: TerminalState(v.u32(0)), ID: v.u32(4), Station: text(v.at(32, 64)), Domain: text(v.at(96, 34)), User: text(v.at(130, 42)),
		Connected: Time(v.i64(176)), Disconnected: Time(v.i64(184)), LastInput: Time(v.i64(192)), LoggedOn: Time(v.i64(200)),
	}
	return t, v.err("terminal session")
}

// TerminalState is WTS_CONNECTSTATE_CLASS.
func TerminalState(n uint32) string {
	return numbered(n, "active", "connected", "connect_query", "shadow", "disconnected", "idle", "listen", "reset", "down", "init")
}

// TerminalClient reads a WTS_CLIENT_ADDRESS; it is not valid where nobody is connected from
// elsewhere. The address stands behind two bytes that are not of it.
func TerminalClient(b []byte) netip.Addr {
	v := view{b: b}
	switch v.u32(0) {
	case afInet:
		if a := netip.AddrFrom4([4]byte(v.at(6, 4))); !v.short && !a.IsUnspecified() {
			return a
		}
	case afInet6:
		if a := netip.AddrFrom16([16]byte(v.at(6, 16))); !v.short && !a.IsUnspecified() {
			return a
		}
	}
	return netip.Addr{}
}

// LogonType is SECURITY_LOGON_TYPE (ntsecapi.h).
func LogonType(n uint32) string {
	return numbered(n, "system", "1", "interactive", "network", "batch", "service", "proxy", "unlock", "network_cleartext", "new_credentials", "remote_interactive", "cached_interactive", "cached_remote_interactive", "cached_unlock")
}
