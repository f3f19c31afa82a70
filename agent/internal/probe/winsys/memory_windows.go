package winsys

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
)

// Module is a file that is loaded into a process.
type Module struct {
	Base, Size uint64
	Path       []uint16
}

// Region is memory that can be executed and is not of a module's file.
type Region struct {
	Base, Size uint64
	Protect    uint32
	File       []uint16 // that is mapped there, as the kernel names it
}

const (
	maxModules = 8192
	maxRegions = 1 << 16

	memCommit = 0x1000
	memImage  = 0x1000000
	pageExec  = 0x10 | 0x20 | 0x40 | 0x80
)

// ErrCut means that there was more than is looked at.
var ErrCut = errors.New("the rest was not looked at")

// Memory tells what is loaded into a process that began at ticks, and which other memory of it
// can be executed. Nothing of the memory itself is read.
func (System) Memory(pid int, ticks uint64) (list []Module, regions []Region, err error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_INFORMATION|windows.PROCESS_VM_READ, false, uint32(pid))
	if err != nil {
		if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
			err = winscan.ErrGone
		}
		return nil, nil, fmt.Errorf("open process: %w", told(err))
	}
	defer windows.CloseHandle(h)
	var c, e, k, u windows.Filetime
	if windows.GetProcessTimes(h, &c, &e, &k, &u) == nil && ticks != 0 && winbytes.Ticks(int64(c.HighDateTime)<<32|int64(c.LowDateTime)) != ticks {
		return nil, nil, winscan.ErrGone
	}
	list, err = modules(h)
	regions, rerr := executable(h)
	return list, regions, errors.Join(err, rerr)
}

func modules(h windows.Handle) (list []Module, err error) {
	const size = uint32(unsafe.Sizeof(windows.Handle(0)))
	all := make([]windows.Handle, 512)
	for {
		var need uint32
		if err := windows.EnumProcessModulesEx(h, &all[0], uint32(len(all))*size, &need, windows.LIST_MODULES_ALL); err != nil {
			if errors.Is(err, windows.ERROR_PARTIAL_COPY) { // it has only begun, or is about to end
				return nil, nil
			}
			return nil, fmt.Errorf("EnumProcessModulesEx: %w", told(err))
		}
		n := int(need / size)
		if n <= len(all) || len(all) >= maxModules {
			all = all[:min(n, len(all))]
			break
		}
		all = make([]windows.Handle, min(n+64, maxModules))
	}
	for _, m := range all {
		x := Module{Base: uint64(m)}
		var info windows.ModuleInfo
		if windows.GetModuleInformation(h, m, &info, uint32(unsafe.Sizeof(info))) == nil {
			x.Size = uint64(info.SizeOfImage)
		}
		x.Path = modulePath(h, m)
		list = append(list, x)
	}
	return list, nil
}

// modulePath is empty for one that is gone.
func modulePath(h, m windows.Handle) []uint16 {
	for size := uint32(windows.MAX_PATH); ; size = maxPath {
		b := make([]uint16, size)
		if err := windows.GetModuleFileNameEx(h, m, &b[0], size); err != nil {
			return nil
		}
		for i, u := range b {
			if u == 0 && (i < int(size)-1 || size == maxPath) {
				return b[:i]
			}
		}
		if size == maxPath {
			return b
		}
	}
}

// executable walks the address space.
func executable(h windows.Handle) (list []Region, err error) {
	name, err := find(psapi, "GetMappedFileNameW")
	if err != nil {
		name = nil
	}
	var at uintptr
	for range maxRegions {
		var m windows.MemoryBasicInformation
		if windows.VirtualQueryEx(h, at, &m, unsafe.Sizeof(m)) != nil || m.RegionSize == 0 {
			return list, nil
		}
		if m.State == memCommit && m.Type != memImage && m.Protect&pageExec != 0 {
			r := Region{Base: uint64(m.BaseAddress), Size: uint64(m.RegionSize), Protect: m.Protect}
			if name != nil {
				var b [1024]uint16
				n, _, _ := name.Call(uintptr(h), m.BaseAddress, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
				r.File = append(r.File, b[:min(n, uintptr(len(b)))]...)
			}
			list = append(list, r)
		}
		next := m.BaseAddress + m.RegionSize
		if next <= at {
			return list, nil
		}
		at = next
	}
	return list, fmt.Errorf("more than %d regions of memory: %w", maxRegions, ErrCut)
}
