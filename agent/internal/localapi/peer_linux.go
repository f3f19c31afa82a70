package localapi

import (
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// uidOf returns the user of the process at the other end (SO_PEERCRED, unix(7)), or
// [unknownUser].
func uidOf(c net.Conn) string {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return unknownUser
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return unknownUser
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || cerr != nil {
		return unknownUser
	}
	return strconv.FormatUint(uint64(cred.Uid), 10)
}

// reporterOf returns the account name of a user, or "uid 1000" when the system has no
// name for it.
func reporterOf(uid string) string {
	if uid == unknownUser {
		return unknownReporter
	}
	if who, err := user.LookupId(uid); err == nil {
		return who.Username
	}
	return "uid " + uid
}
