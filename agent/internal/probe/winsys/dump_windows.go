package winsys

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
)

// Whole is a process whose memory can be read as a whole.
type Whole struct {
	Created   int64 // FILETIME
	Path      string
	Committed int64 // bytes that can be read
	Secrets   bool  // it is lsass.exe of Windows
}

const dumpAccess = windows.PROCESS_QUERY_INFORMATION | windows.PROCESS_VM_READ | windows.PROCESS_DUP_HANDLE

// openWhole opens a process for reading, with the privilege for debugging where there is one.
func openWhole(pid int) (windows.Handle, int64, error) {
	if pid == os.Getpid() {
		return 0, 0, errors.New("this is the agent itself, which cannot stand still for it")
	}
	if done, err := privileged("SeDebugPrivilege"); err == nil {
		defer done()
	}
	h, err := windows.OpenProcess(dumpAccess, false, uint32(pid))
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		err = winscan.ErrGone
	}
	if err != nil {
		return 0, 0, fmt.Errorf("open process: %w", told(err))
	}
	var c, e, k, u windows.Filetime
	if err := windows.GetProcessTimes(h, &c, &e, &k, &u); err != nil {
		windows.CloseHandle(h)
		return 0, 0, fmt.Errorf("GetProcessTimes: %w", told(err))
	}
	return h, int64(c.HighDateTime)<<32 | int64(c.LowDateTime), nil
}

// Whole tells of a process whose memory is to be dumped.
func (System) Whole(pid int) (w Whole, err error) {
	saving.Lock() // the privilege is one of this program, see SaveHive
	defer saving.Unlock()
	h, created, err := openWhole(pid)
	if err != nil {
		return w, err
	}
	defer windows.CloseHandle(h)
	w.Created = created
	b := make([]uint16, maxPath)
	n := uint32(len(b))
	if err := windows.QueryFullProcessImageName(h, 0, &b[0], &n); err != nil {
		return w, fmt.Errorf("QueryFullProcessImageName: %w", told(err))
	}
	w.Path = windows.UTF16ToString(b[:n])
	system, err := windows.GetSystemDirectory()
	if err != nil {
		return w, fmt.Errorf("GetSystemDirectory: %w", err)
	}
	w.Secrets = strings.EqualFold(w.Path, filepath.Join(system, "lsass.exe"))
	w.Committed = committed(h)
	return w, nil
}

// committed walks the address space.
func committed(h windows.Handle) (n int64) {
	const none, guard = 0x01, 0x100 // PAGE_NOACCESS, PAGE_GUARD
	for at := uintptr(0); ; {
		var m windows.MemoryBasicInformation
		if windows.VirtualQueryEx(h, at, &m, unsafe.Sizeof(m)) != nil || m.RegionSize == 0 || m.BaseAddress+m.RegionSize <= at {
			return n
		}
		if m.State == memCommit && m.Protect&(none|guard) == 0 {
			n += int64(m.RegionSize)
		}
		at = m.BaseAddress + m.RegionSize
	}
}

var (
	// dumping guards dbghelp, which serves one caller at a time, and what stops it.
	dumping sync.Mutex
	stop    atomic.Pointer[func() bool]
	// onDump is the one callback of all dumps: the system keeps those that a program makes for ever.
	onDump = sync.OnceValue(func() uintptr { return windows.NewCallback(dumpCallback) })
)

const cancelCallback = 6 // of MINIDUMP_CALLBACK_TYPE

// dumpCallback is asked now and then whether to go on. in is a MINIDUMP_CALLBACK_INPUT, which is
// packed: a process ID, a handle, then what is asked; out of the answer are two BOOL.
func dumpCallback(_ uintptr, in *[4]uint32, out *[2]uint32) uintptr {
	if in[3] == cancelCallback {
		out[0], out[1] = 1, 0
		if s := stop.Load(); s != nil && (*s)() {
			out[1] = 1
		}
	}
	return 1
}

// errTooLarge means that a dump passed what it was allowed.
var errTooLarge = errors.New("the dump grew past what was measured, and was given up")

// Dump writes the memory of a process that began at ticks into a new file of dir, which is gone
// when it is closed, and when this program is killed. It ends with an error when ctx does, and when the
// file passes most bytes.
func (System) Dump(ctx context.Context, pid int, ticks uint64, dir string, most int64) (*os.File, error) {
	dumping.Lock()
	defer dumping.Unlock()
	saving.Lock()
	h, created, err := openWhole(pid)
	saving.Unlock()
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(h)
	if winbytes.Ticks(created) != ticks {
		return nil, winscan.ErrGone
	}
	write, err := find(dbghelp, "MiniDumpWriteDump")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make room for a dump: %w", err)
	}
	path := filepath.Join(dir, fmt.Sprintf("hozen-dump-%d-%d", pid, ticks))
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	file, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE|windows.DELETE, 0, nil, windows.CREATE_ALWAYS,
		windows.FILE_ATTRIBUTE_TEMPORARY|windows.FILE_FLAG_DELETE_ON_CLOSE, 0)
	if err != nil {
		return nil, fmt.Errorf("make file for a dump: %w", told(err))
	}
	f := os.NewFile(uintptr(file), path)
	over := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if st, err := f.Stat(); err == nil && st.Size() > most {
			return errTooLarge
		}
		return nil
	}
	asked := func() bool { return over() != nil }
	stop.Store(&asked)
	defer stop.Store(nil)
	// All memory, data segments, handles, modules that were unloaded, all regions with their rights, times of threads;
	// memory that cannot be read is passed over.
	const flags = 0x2 | 0x4 | 0x20 | 0x800 | 0x1000 | 0x20000
	callback := [2]uintptr{onDump(), 0} // MINIDUMP_CALLBACK_INFORMATION
	r, _, e := write.Call(uintptr(h), uintptr(pid), uintptr(file), flags, 0, 0, uintptr(unsafe.Pointer(&callback)))
	err = over()
	if err == nil && r == 0 {
		err = fmt.Errorf("MiniDumpWriteDump: %w", told(e))
	}
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
