package winsys

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Classes of WTSQuerySessionInformation.
const (
	wtsClientName    = 10
	wtsClientAddress = 14
	wtsSessionInfo   = 24
)

// Terminal is what the service of terminals tells of a session: WTS_SESSION_INFO, and the
// answers to three questions, empty where there was none.
type Terminal struct {
	ID      uint32
	Station []uint16
	State   uint32
	Info    []byte // WTSINFOW
	Client  []uint16
	Address []byte // WTS_CLIENT_ADDRESS
}

// Terminals lists the terminal sessions.
func (System) Terminals() ([]Terminal, error) {
	var first *windows.WTS_SESSION_INFO
	var n uint32
	if err := windows.WTSEnumerateSessions(0, 0, 1, &first, &n); err != nil {
		return nil, fmt.Errorf("WTSEnumerateSessions: %w", told(err))
	}
	if first == nil {
		return nil, nil
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(first)))
	var list []Terminal
	for _, s := range unsafe.Slice(first, n) {
		t := Terminal{ID: s.SessionID, Station: units(s.WindowStationName), State: s.State}
		t.Info = askTerminal(s.SessionID, wtsSessionInfo)
		t.Address = askTerminal(s.SessionID, wtsClientAddress)
		b := askTerminal(s.SessionID, wtsClientName)
		for i := 0; i+1 < len(b) && (b[i] != 0 || b[i+1] != 0); i += 2 {
			t.Client = append(t.Client, uint16(b[i])|uint16(b[i+1])<<8)
		}
		list = append(list, t)
	}
	return list, nil
}

// askTerminal copies an answer of WTSQuerySessionInformation.
func askTerminal(session uint32, class uintptr) []byte {
	call, err := find(wtsapi32, "WTSQuerySessionInformationW")
	if err != nil {
		return nil
	}
	var p *byte
	var n uint32
	if r, _, _ := call.Call(0, uintptr(session), class, uintptr(unsafe.Pointer(&p)), uintptr(unsafe.Pointer(&n))); r == 0 || p == nil {
		return nil
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(p)))
	return append([]byte(nil), unsafe.Slice(p, min(n, maxLine))...)
}

// Logon is SECURITY_LOGON_SESSION_DATA of the local security authority.
type Logon struct {
	ID                    uint64
	User, Domain, Package []uint16
	Server, DNSDomain     []uint16
	Type, Session         uint32
	SID                   string
	At                    int64 // FILETIME
}

type lsaString struct {
	length, maximum uint16
	buffer          *uint16
}

func (s lsaString) units() []uint16 {
	if s.buffer == nil {
		return nil
	}
	return append([]uint16(nil), unsafe.Slice(s.buffer, s.length/2)...)
}

type logonData struct {
	size                   uint32
	id                     windows.LUID
	user, domain, pkg      lsaString
	logonType, session     uint32
	sid                    *windows.SID
	time                   int64
	server, dnsDomain, upn lsaString
}

// Logons lists the sign-ins that the local security authority keeps. skipped counts those that
// it would not tell of.
func (System) Logons() (list []Logon, skipped int64, err error) {
	enumerate, err := find(secur32, "LsaEnumerateLogonSessions")
	if err != nil {
		return nil, 0, err
	}
	data, err := find(secur32, "LsaGetLogonSessionData")
	if err != nil {
		return nil, 0, err
	}
	free, err := find(secur32, "LsaFreeReturnBuffer")
	if err != nil {
		return nil, 0, err
	}
	var n uint32
	var ids *windows.LUID
	if r, _, _ := enumerate.Call(uintptr(unsafe.Pointer(&n)), uintptr(unsafe.Pointer(&ids))); r != 0 {
		return nil, 0, fmt.Errorf("LsaEnumerateLogonSessions: %w", told(windows.NTStatus(r)))
	}
	if ids == nil {
		return nil, 0, nil
	}
	defer free.Call(uintptr(unsafe.Pointer(ids)))
	all := unsafe.Slice(ids, n)
	for i := range all {
		var d *logonData
		r, _, _ := data.Call(uintptr(unsafe.Pointer(&all[i])), uintptr(unsafe.Pointer(&d)))
		if r != 0 || d == nil {
			skipped++
			err = fmt.Errorf("LsaGetLogonSessionData: %w", told(windows.NTStatus(r)))
			continue
		}
		l := Logon{
			ID: uint64(uint32(d.id.HighPart))<<32 | uint64(d.id.LowPart), User: d.user.units(), Domain: d.domain.units(), Package: d.pkg.units(),
			Type: d.logonType, Session: d.session, At: d.time, Server: d.server.units(), DNSDomain: d.dnsDomain.units(),
		}
		if d.sid != nil {
			l.SID = d.sid.String()
		}
		_, _, _ = free.Call(uintptr(unsafe.Pointer(d)))
		list = append(list, l)
	}
	return list, skipped, err
}

// Visitor is SESSION_INFO_10: who uses this PC's shares.
type Visitor struct {
	Computer, User []uint16
	Seconds, Idle  uint32 // since it began, since it was last used
}

// Visitors lists the sessions of other computers (NetSessionEnum).
func (System) Visitors() (list []Visitor, err error) {
	type info struct {
		computer, user *uint16
		seconds, idle  uint32
	}
	err = netEnum("NetSessionEnum", 10, []uintptr{0, 0, 0}, func(p unsafe.Pointer, n int) {
		for _, s := range unsafe.Slice((*info)(p), n) {
			list = append(list, Visitor{units(s.computer), units(s.user), s.seconds, s.idle})
		}
	})
	return list, err
}

// Share is SHARE_INFO_2.
type Share struct {
	Name, Remark, Path []uint16
	Type, Uses         uint32
}

// Shares lists what this PC offers to others (NetShareEnum).
func (System) Shares() (list []Share, err error) {
	type info struct {
		name              *uint16
		kind              uint32
		remark            *uint16
		rights, max, uses uint32
		path, password    *uint16
	}
	err = netEnum("NetShareEnum", 2, []uintptr{0}, func(p unsafe.Pointer, n int) {
		for _, s := range unsafe.Slice((*info)(p), n) {
			list = append(list, Share{units(s.name), units(s.remark), units(s.path), s.kind, s.uses})
		}
	})
	return list, err
}

// SharedFile is FILE_INFO_3: a file that another computer has open.
type SharedFile struct {
	ID, Rights, Locks uint32
	Path, User        []uint16
}

// SharedFiles lists what others have open (NetFileEnum).
func (System) SharedFiles() (list []SharedFile, err error) {
	type info struct {
		id, rights, locks uint32
		path, user        *uint16
	}
	err = netEnum("NetFileEnum", 3, []uintptr{0, 0, 0}, func(p unsafe.Pointer, n int) {
		for _, f := range unsafe.Slice((*info)(p), n) {
			list = append(list, SharedFile{f.id, f.rights, f.locks, units(f.path), units(f.user)})
		}
	})
	return list, err
}

// Codes of the Net functions that are not in x/sys.
const (
	moreData           = 234
	nerrServerNotThere = 2114 // NERR_ServerNotStarted
)

// netEnum calls an enumeration of netapi32 of which names are the arguments before the level,
// until it has told everything.
func netEnum(name string, level uintptr, names []uintptr, f func(p unsafe.Pointer, n int)) error {
	call, err := find(netapi32, name)
	if err != nil {
		return err
	}
	// What stands in a slice as a number must not move with the stack, and is pinned.
	out := new(struct {
		p        *byte
		n, total uint32
		resume   uint64
	})
	var pin runtime.Pinner
	pin.Pin(out)
	defer pin.Unpin()
	for range 1024 {
		out.p, out.n, out.total = nil, 0, 0
		const all = 0xffffffff // MAX_PREFERRED_LENGTH
		args := append(append([]uintptr(nil), names...), level, uintptr(unsafe.Pointer(&out.p)), all, uintptr(unsafe.Pointer(&out.n)), uintptr(unsafe.Pointer(&out.total)), uintptr(unsafe.Pointer(&out.resume)))
		r, _, _ := call.Call(args...)
		p, n := out.p, out.n
		if p != nil {
			if r == 0 || r == moreData {
				f(unsafe.Pointer(p), int(n))
			}
			_ = windows.NetApiBufferFree(p)
		}
		switch {
		case r == 0, r == nerrServerNotThere: // who offers nothing has no visitors
			return nil
		case r != moreData || n == 0:
			return fmt.Errorf("%s: %w", name, told(windows.Errno(r)))
		}
	}
	return fmt.Errorf("%s: it does not come to an end", name)
}
