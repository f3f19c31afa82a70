package winsys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winbytes"
)

// Classes of the tables (iprtrmib.h).
const (
	tcpOwnerPID    = 5
	tcpOwnerModule = 8
	udpOwnerPID    = 1
	udpOwnerModule = 2
)

// maxSockets bounds the answer of a table of sockets.
const maxSockets = 256 << 20

// Sockets implements winscan.System.
func (System) Sockets(t winbytes.Table) ([]byte, error) {
	name, class, family := "GetExtendedTcpTable", tcpOwnerPID, windows.AF_INET
	switch {
	case t.UDP && t.Module:
		class = udpOwnerModule
	case t.UDP:
		class = udpOwnerPID
	case t.Module:
		class = tcpOwnerModule
	}
	if t.UDP {
		name = "GetExtendedUdpTable"
	}
	if t.V6 {
		family = windows.AF_INET6
	}
	call, err := find(iphlpapi, name)
	if err != nil {
		return nil, err
	}
	for size := uint32(64 << 10); size <= maxSockets; size *= 2 {
		b := make([]byte, size)
		n := size
		r, _, _ := call.Call(uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0, uintptr(family), uintptr(class), 0)
		switch e := windows.Errno(r); e {
		case windows.ERROR_SUCCESS:
			return b, nil
		case windows.ERROR_INSUFFICIENT_BUFFER: // it grows while it is asked for
		default:
			return nil, fmt.Errorf("%s: %w", name, told(e))
		}
	}
	return nil, fmt.Errorf("%s: the answer is larger than %d bytes", name, maxSockets)
}
