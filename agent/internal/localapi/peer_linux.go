package localapi

import (
	"net"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

const everybodyIsKnown = false

// peerOf returns who is at the other end (SO_PEERCRED, unix(7)), as far as the kernel
// tells.
func peerOf(c net.Conn) Peer {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return Peer{}
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return Peer{}
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || cerr != nil {
		return Peer{}
	}
	return Peer{UID: strconv.FormatUint(uint64(cred.Uid), 10), PID: int(cred.Pid)}
}

// found returns the peer with its name and its terminal.
func (p Peer) found() Peer {
	if who, err := user.LookupId(p.UID); err == nil {
		p.Name = who.Username
	}
	if p.PID > 0 { // else it is in a namespace from which we do not see it
		if b, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/stat"); err == nil {
			p.TTY = ttyOf(string(b))
		}
	}
	return p
}

// reporter returns the account name of the peer, or "uid 1000" when the system has no
// name for it.
func (p Peer) reporter() string {
	if p.UID == unknownUser {
		return unknownReporter
	}
	if who, err := user.LookupId(p.UID); err == nil {
		return who.Username
	}
	return "uid " + p.UID
}
