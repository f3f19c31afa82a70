package uplink

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// notSent is how many bytes may wait in the kernel without having been sent (tcp(7),
// TCP_NOTSENT_LOWAT). On a slow line a command's acknowledgement would otherwise wait
// behind megabytes of evidence.
const notSent = 128 << 10

// keepQueueShort sets the option; a kernel without it is no reason not to connect.
func keepQueueShort(c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSent) // see above
	})
}
