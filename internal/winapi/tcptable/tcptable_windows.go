package tcptable

import (
	"errors"
	"fmt"
	"io/fs"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	iphlpapi            = windows.NewLazySystemDLL("iphlpapi.dll")
	getExtendedTCPTable = iphlpapi.NewProc("GetExtendedTcpTable")
	setTCPEntry         = iphlpapi.NewProc("SetTcpEntry")
)

// Read returns MIB_TCPTABLE_OWNER_PID, or MIB_TCP6TABLE_OWNER_PID, as it stands in memory:
// every TCP socket with its process (GetExtendedTcpTable).
func Read(six bool) ([]byte, error) {
	const ownerPIDAll = 5 // TCP_TABLE_OWNER_PID_ALL
	family := uintptr(windows.AF_INET)
	if six {
		family = windows.AF_INET6
	}
	if err := getExtendedTCPTable.Find(); err != nil {
		return nil, fmt.Errorf("list TCP connections: %w: %w", errors.ErrUnsupported, err)
	}
	size := uint32(16 << 10)
	for range 8 { // the table grows while it is asked for
		b := make([]uint32, (size+3)/4)
		r, _, _ := getExtendedTCPTable.Call(uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0, family, ownerPIDAll, 0)
		switch windows.Errno(r) {
		case 0:
			return unsafe.Slice((*byte)(unsafe.Pointer(&b[0])), 4*len(b)), nil
		case windows.ERROR_INSUFFICIENT_BUFFER:
			size += 4 << 10
		default:
			return nil, fmt.Errorf("list TCP connections: %w", windows.Errno(r))
		}
	}
	return nil, errors.New("list TCP connections: the table does not hold still")
}

// ErrGone means that there is no such connection any more.
var ErrGone = errors.New("no such connection")

// End ends an IPv4 connection: its program is told that it was aborted, and the other end
// gets a reset (SetTcpEntry with MIB_TCP_STATE_DELETE_TCB). There is no such call for IPv6.
// The addresses and ports are as they stand in the table. The error wraps ErrGone,
// [fs.ErrPermission] without administrator rights and [errors.ErrUnsupported].
func End(localAddr, localPort, remoteAddr, remotePort uint32) error {
	const deleteTCB = 12
	if err := setTCPEntry.Find(); err != nil {
		return fmt.Errorf("end TCP connection: %w: %w", errors.ErrUnsupported, err)
	}
	row := [5]uint32{deleteTCB, localAddr, localPort, remoteAddr, remotePort}
	r, _, _ := setTCPEntry.Call(uintptr(unsafe.Pointer(&row[0])))
	const notFound = 317 // ERROR_MR_MID_NOT_FOUND, when it is gone
	switch n := windows.Errno(r); n {
	case 0:
		return nil
	case notFound, windows.ERROR_NOT_FOUND: // ERROR_INVALID_PARAMETER is our mistake, or a refusal
		return fmt.Errorf("end TCP connection: %w", ErrGone)
	case windows.ERROR_ACCESS_DENIED:
		return fmt.Errorf("end TCP connection: %w", fs.ErrPermission)
	case windows.ERROR_NOT_SUPPORTED, windows.ERROR_CALL_NOT_IMPLEMENTED:
		return fmt.Errorf("end TCP connection: %w: %w", errors.ErrUnsupported, n)
	default:
		return fmt.Errorf("end TCP connection: %w", n)
	}
}
