package localapi

import (
	"fmt"
	"strconv"
	"strings"
)

// Peer is who is at the other end of the socket, as the kernel said when it connected.
type Peer struct {
	// UID is "0" for root, and on Windows for the system and administrators; other accounts
	// there by their SID, S-1-…. Empty where the system does not tell.
	UID string
	PID int    // 0 where the system does not tell
	SID string // of the account, on Windows
	// Name is the account, TTY the terminal without "/dev/"; empty where there is none.
	Name, TTY string
}

// String names the peer for a record: "hanako (uid 1000), pid 4711, pts/0".
func (p Peer) String() string {
	if p.UID == unknownUser {
		return unknownReporter
	}
	words := []string{"uid " + p.UID}
	if strings.HasPrefix(p.UID, "S-") {
		words[0] = p.UID
	}
	if p.Name != "" {
		words[0] = fmt.Sprintf("%.64s (%s)", p.Name, words[0])
	}
	if p.PID > 0 {
		words = append(words, "pid "+strconv.Itoa(p.PID))
	}
	if p.TTY != "" {
		words = append(words, p.TTY)
	}
	return strings.Join(words, ", ")
}

// ttyOf reads the controlling terminal from a /proc/PID/stat (proc_pid_stat(5), tty_nr);
// empty if there is none. The program's name, which stands before, may hold anything.
func ttyOf(stat string) string {
	const ttyNr = 4 // of the fields after the name
	i := strings.LastIndexByte(stat, ')')
	if i < 0 {
		return ""
	}
	f := strings.Fields(stat[i+1:])
	if len(f) <= ttyNr {
		return ""
	}
	n, err := strconv.ParseInt(f[ttyNr], 10, 32)
	if err != nil || n == 0 {
		return ""
	}
	dev := uint32(n)
	major, minor := dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
	const tty, pts, ptsLast, serial = 4, 136, 143, 64 // Documentation/admin-guide/devices.txt
	switch {
	case major >= pts && major <= ptsLast:
		return fmt.Sprintf("pts/%d", (major-pts)<<20|minor)
	case major == tty && minor < serial:
		return fmt.Sprintf("tty%d", minor)
	case major == tty:
		return fmt.Sprintf("ttyS%d", minor-serial)
	}
	return ""
}
