package shared

import (
	"fmt"

	"hozen/agent/internal/probe/winbytes"
	"hozen/internal/artifact/record"
)

// hiddenShare is STYPE_SPECIAL (lmshare.h).
const hiddenShare = 0x80000000

// offer makes a record of a share.
func offer(name, remark, path []uint16, kind, uses uint32) *record.SharedOffer {
	s := &record.SharedOffer{Type: record.SharedShare, Uses: uses, Hidden: kind&hiddenShare != 0}
	s.Name, s.NameRaw = winbytes.Text16(name)
	s.Remark, _ = winbytes.Text16(remark)
	s.Path, _ = winbytes.Text16(path)
	kinds := [...]string{"disk", "printer", "device", "ipc"}
	if n := kind & 0xffff; n < uint32(len(kinds)) {
		s.Kind = kinds[n]
	} else {
		s.Kind = fmt.Sprint(n)
	}
	return s
}

// opened makes a record of a file that another computer has open.
func opened(id uint32, path, user []uint16, rights, locks uint32) *record.SharedOffer {
	s := &record.SharedOffer{Type: record.SharedRemote, Name: fmt.Sprint(id), Rights: rights, Locks: locks}
	s.Path, s.NameRaw = winbytes.Text16(path)
	s.User, _ = winbytes.Text16(user)
	return s
}

// pipe makes a record of a named pipe.
func pipe(name []uint16) *record.SharedOffer {
	s := &record.SharedOffer{Type: record.SharedPipe}
	s.Name, s.NameRaw = winbytes.Text16(name)
	return s
}
