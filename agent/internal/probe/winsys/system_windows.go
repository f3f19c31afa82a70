package winsys

import (
	"errors"
	"fmt"
	"io/fs"
	"unsafe"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
	"hozen/internal/artifact/record"
)

// System is this PC.
type System struct{}

// Classes of NtQuerySystemInformation and NtQueryInformationProcess (phnt).
const (
	systemProcessInformation        = 5
	systemModuleInformation         = 11
	systemExtendedHandleInformation = 64
	processBasicInformation         = 0
	processCommandLineInformation   = 60
	processProtectionInformation    = 61
)

// maxTable bounds the answer of a table: one of handles has 40 bytes for each.
const maxTable = 512 << 20

// Processes implements [winscan.System].
func (System) Processes() (winbytes.Answer, error) { return query(systemProcessInformation, 512<<10) }

// Handles is the table of all handles (SystemExtendedHandleInformation).
func (System) Handles() (winbytes.Answer, error) {
	return query(systemExtendedHandleInformation, 4<<20)
}

// Modules is the table of what is loaded into the kernel (SystemModuleInformation).
func (System) Modules() (winbytes.Answer, error) { return query(systemModuleInformation, 128<<10) }

// query asks until the answer fits.
func query(class int32, size int) (winbytes.Answer, error) {
	for size <= maxTable {
		b := make([]byte, size)
		var n uint32
		err := windows.NtQuerySystemInformation(class, unsafe.Pointer(&b[0]), uint32(len(b)), &n)
		switch {
		case err == nil:
			if n == 0 || int(n) > len(b) {
				n = uint32(len(b))
			}
			return winbytes.Answer{Bytes: b[:n], Base: uint64(uintptr(unsafe.Pointer(&b[0])))}, nil
		case !errors.Is(err, windows.STATUS_INFO_LENGTH_MISMATCH):
			return winbytes.Answer{}, fmt.Errorf("NtQuerySystemInformation(%d): %w", class, told(err))
		}
		size = max(2*size, int(n)+int(n)/8) // it grows while it is asked for
	}
	return winbytes.Answer{}, fmt.Errorf("NtQuerySystemInformation(%d): the answer is larger than %d bytes", class, maxTable)
}

// told makes of a code of the system an error that the outcomes know.
func told(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, windows.STATUS_ACCESS_DENIED), errors.Is(err, windows.ERROR_ACCESS_DENIED), errors.Is(err, windows.STATUS_PRIVILEGE_NOT_HELD), errors.Is(err, windows.ERROR_PRIVILEGE_NOT_HELD):
		return fmt.Errorf("%w: %w", fs.ErrPermission, err)
	case notKnown(err):
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}

// notKnown reports whether this Windows does not know what it was asked for.
func notKnown(err error) bool {
	for _, e := range []error{windows.STATUS_INVALID_INFO_CLASS, windows.STATUS_NOT_IMPLEMENTED, windows.STATUS_NOT_SUPPORTED, windows.ERROR_CALL_NOT_IMPLEMENTED, windows.ERROR_NOT_SUPPORTED, windows.ERROR_PROC_NOT_FOUND, windows.ERROR_INVALID_FUNCTION} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Process implements [winscan.System].
func (System) Process(pid int, created int64) (winscan.Told, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
			err = winscan.ErrGone
		}
		return winscan.Told{}, fmt.Errorf("open process: %w", told(err))
	}
	defer windows.CloseHandle(h)
	if !same(h, created) {
		return winscan.Told{}, winscan.ErrGone
	}
	var t winscan.Told
	t.Image, t.ImageErr = image(h)
	t.CommandLine, t.LineErr = commandLine(h)
	t.From = record.CommandLineKernel
	if errors.Is(t.LineErr, errors.ErrUnsupported) {
		t.From = record.CommandLinePEB
		t.CommandLine, t.LineErr = commandLineOfPEB(pid, created)
	}
	t.Token, t.TokenErr = token(h)
	var wow bool
	if windows.IsWow64Process(h, &wow) == nil {
		t.Wow64 = wow
	}
	var protection byte
	if windows.NtQueryInformationProcess(h, processProtectionInformation, unsafe.Pointer(&protection), 1, nil) == nil {
		t.Protection = uint32(protection)
	}
	return t, nil
}

// same reports whether an open process is the one that was created then. One whose moment is
// not known is taken for itself.
func same(h windows.Handle, created int64) bool {
	var c, e, k, u windows.Filetime
	if created == 0 || windows.GetProcessTimes(h, &c, &e, &k, &u) != nil {
		return true
	}
	return int64(c.HighDateTime)<<32|int64(c.LowDateTime) == created
}

// maxPath is the longest path that Windows has, in units of UTF-16.
const maxPath = 32768

func image(h windows.Handle) ([]uint16, error) {
	for size := uint32(windows.MAX_PATH); ; size = maxPath {
		b := make([]uint16, size)
		n := size
		err := windows.QueryFullProcessImageName(h, 0, &b[0], &n)
		if err == nil {
			return b[:n], nil
		}
		if size == maxPath || !errors.Is(err, windows.ERROR_INSUFFICIENT_BUFFER) {
			return nil, fmt.Errorf("QueryFullProcessImageName: %w", told(err))
		}
	}
}

// maxLine is the longest command line that the PEB can tell, in bytes.
const maxLine = 1 << 16

// commandLine asks the kernel, which wants no right to read memory.
func commandLine(h windows.Handle) ([]byte, error) {
	b := make([]byte, 1<<10)
	var n uint32
	err := windows.NtQueryInformationProcess(h, processCommandLineInformation, unsafe.Pointer(&b[0]), uint32(len(b)), &n)
	if errors.Is(err, windows.STATUS_INFO_LENGTH_MISMATCH) || errors.Is(err, windows.STATUS_BUFFER_TOO_SMALL) || errors.Is(err, windows.STATUS_BUFFER_OVERFLOW) {
		b = make([]byte, maxLine+64)
		err = windows.NtQueryInformationProcess(h, processCommandLineInformation, unsafe.Pointer(&b[0]), uint32(len(b)), &n)
	}
	if err != nil {
		return nil, fmt.Errorf("NtQueryInformationProcess(%d): %w", processCommandLineInformation, told(err))
	}
	return winbytes.Answer{Bytes: b, Base: uint64(uintptr(unsafe.Pointer(&b[0])))}.Unicode(0)
}

// Offsets in the PEB and in RTL_USER_PROCESS_PARAMETERS of 64-bit Windows.
const (
	pebParameters     = 0x20
	paramsCommandLine = 0x70
)

// commandLineOfPEB reads the process's memory. It is for Windows before 8.1.
func commandLineOfPEB(pid int, created int64) ([]byte, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_INFORMATION|windows.PROCESS_VM_READ, false, uint32(pid))
	if err != nil {
		return nil, fmt.Errorf("open process to read its command line: %w", told(err))
	}
	defer windows.CloseHandle(h)
	if !same(h, created) {
		return nil, winscan.ErrGone
	}
	var info windows.PROCESS_BASIC_INFORMATION
	if err := windows.NtQueryInformationProcess(h, processBasicInformation, unsafe.Pointer(&info), uint32(unsafe.Sizeof(info)), nil); err != nil {
		return nil, fmt.Errorf("find the process's own block: %w", told(err))
	}
	peb := uintptr(unsafe.Pointer(info.PebBaseAddress))
	if peb == 0 {
		return nil, nil // one that the kernel made for itself
	}
	read := func(at uintptr, b []byte) error {
		var n uintptr
		if err := windows.ReadProcessMemory(h, at, &b[0], uintptr(len(b)), &n); err != nil {
			return fmt.Errorf("read the process's own block: %w", told(err))
		}
		return nil
	}
	var pointer [8]byte
	if err := read(peb+pebParameters, pointer[:]); err != nil {
		return nil, err
	}
	var text [16]byte
	if err := read(address(pointer[:])+paramsCommandLine, text[:]); err != nil {
		return nil, err
	}
	n := int(text[0]) | int(text[1])<<8
	if n == 0 {
		return nil, nil
	}
	b := make([]byte, n)
	return b, read(address(text[8:]), b)
}

// address reads a pointer of another process.
func address(b []byte) (p uintptr) {
	for i := range 8 {
		p |= uintptr(b[i]) << (8 * i)
	}
	return p
}
