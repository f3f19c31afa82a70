package winsys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Use is what this program itself used so far.
type Use struct {
	Reads, Writes, ReadBytes, WrittenBytes int64
	WorkingSet, PeakWorkingSet             int64
}

// OwnUse asks for GetProcessIoCounters and GetProcessMemoryInfo.
func OwnUse() (u Use, err error) {
	io, err := find(kernel32, "GetProcessIoCounters")
	if err != nil {
		return u, err
	}
	var c [6]uint64 // IO_COUNTERS
	if r, _, e := io.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&c[0]))); r == 0 {
		return u, fmt.Errorf("GetProcessIoCounters: %w", told(e))
	}
	u = Use{Reads: int64(c[0]), Writes: int64(c[1]), ReadBytes: int64(c[3]), WrittenBytes: int64(c[4])}
	memory, err := find(psapi, "GetProcessMemoryInfo")
	if err != nil {
		return u, err
	}
	var m struct { // PROCESS_MEMORY_COUNTERS
		size, faults uint32
		peak, now    uintptr
		quota        [6]uintptr
	}
	m.size = uint32(unsafe.Sizeof(m))
	if r, _, e := memory.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&m)), uintptr(m.size)); r == 0 {
		return u, fmt.Errorf("GetProcessMemoryInfo: %w", told(e))
	}
	u.WorkingSet, u.PeakWorkingSet = int64(m.now), int64(m.peak)
	return u, nil
}
