package localapi

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel who connected (unix(7), SO_PEERCRED).
func peerOf(c net.Conn) peer {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return peer{}
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return peer{}
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil || err != nil {
		return peer{}
	}
	return peer{known: true, uid: int(cred.Uid)}
}
