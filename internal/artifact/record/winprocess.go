package record

// The values of WinProcess.CommandLineFrom.
const (
	CommandLineKernel = "kernel" // ProcessCommandLineInformation, Windows 8.1 and later
	CommandLinePEB    = "peb"    // the process's own memory, which it can change
)

// WinProcess is what only Windows tells of a process.
type WinProcess struct {
	// SessionID is the terminal session; 0 is that of services.
	SessionID uint32 `json:"session_id"`
	Handles   uint32 `json:"handles,omitempty"`
	// PrivateBytes is memory of its own, in RAM or not.
	PrivateBytes uint64 `json:"private_bytes,omitempty"`
	// PPIDReused says that the process that has the parent's PID now started after this one,
	// and is not its parent.
	PPIDReused bool `json:"ppid_reused,omitempty"`
	// CommandLine is the one text that Windows hands to a program; Args of the process are
	// split from it as most programs do. Empty and not in "unread": there is none.
	CommandLine string `json:"command_line,omitempty"`
	// CommandLineFrom says who told it.
	CommandLineFrom string `json:"command_line_from,omitempty"`
	// UserSID is the account; names are not looked up, which could ask another computer.
	UserSID string `json:"user_sid,omitempty"`
	// Integrity is untrusted, low, medium, high, system or protected, or the number when it is
	// none of these; AppContainer a process in one.
	Integrity    string `json:"integrity,omitempty"`
	AppContainer bool   `json:"app_container,omitempty"`
	// Elevation is default (the account has one token only), full or limited
	// (TOKEN_ELEVATION_TYPE); Elevated says that it has an administrator's rights.
	Elevation string `json:"elevation,omitempty"`
	Elevated  bool   `json:"elevated,omitempty"`
	// LogonID names the sign-in that it belongs to, hexadecimal (LUID).
	LogonID string `json:"logon_id,omitempty"`
	// Wow64 is a 32-bit program on 64-bit Windows.
	Wow64 bool `json:"wow64,omitempty"`
	// Protection is PS_PROTECTION: the low three bits are 1 light, 2 full; the high four who
	// signed it. 0 is none.
	Protection uint32 `json:"protection,omitempty"`
}

func (w *WinProcess) append(b []byte) []byte {
	b = unumAlways(append(b, '{'), "session_id", w.SessionID)
	b = unum(b, "handles", w.Handles)
	b = unum(b, "private_bytes", w.PrivateBytes)
	b = flag(b, "ppid_reused", w.PPIDReused)
	b = str(b, "command_line", w.CommandLine)
	b = str(b, "command_line_from", w.CommandLineFrom)
	b = str(b, "user_sid", w.UserSID)
	b = str(b, "integrity", w.Integrity)
	b = flag(b, "app_container", w.AppContainer)
	b = str(b, "elevation", w.Elevation)
	b = flag(b, "elevated", w.Elevated)
	b = str(b, "logon_id", w.LogonID)
	b = flag(b, "wow64", w.Wow64)
	return append(unum(b, "protection", w.Protection), '}')
}
