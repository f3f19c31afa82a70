package localapi

import (
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// reporterOf returns the account name of the process at the other end, or "uid 1000"
// when the system has no name for it.
func reporterOf(c net.Conn) string {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return unknownReporter
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return unknownReporter
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil || cerr != nil {
		return unknownReporter
	}
	uid := strconv.FormatUint(uint64(cred.Uid), 10)
	if who, err := user.LookupId(uid); err == nil {
		return who.Username
	}
	return "uid " + uid
}
