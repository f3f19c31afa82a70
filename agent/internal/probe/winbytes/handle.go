package winbytes

// Offsets in SYSTEM_HANDLE_INFORMATION_EX and its rows (phnt, ntexapi.h).
const (
	handleRows   = 16
	handleSize   = 40
	handleObject = 0
	handlePID    = 8
	handleValue  = 16
	handleAccess = 24
	handleType   = 30
)

// Handle is one handle of a process.
type Handle struct {
	// Object is the address of what it refers to; 0 where Windows does not tell.
	Object uint64
	PID    int
	Value  uint64
	Access uint32
	// Type is the number of its type, which is another one on every build of Windows.
	Type uint16
}

// Handles reads the answer of NtQuerySystemInformation(SystemExtendedHandleInformation). What
// was read before an error is valid.
func Handles(a Answer) (list []Handle, err error) {
	v := view{b: a.Bytes}
	n := v.u64(0)
	if v.short {
		return nil, v.err("table of handles")
	}
	whole := uint64(max(len(a.Bytes)-handleRows, 0)) / handleSize
	list = make([]Handle, 0, min(n, whole))
	for i := range min(n, whole) {
		at := handleRows + int(i)*handleSize
		list = append(list, Handle{Object: v.u64(at + handleObject), PID: int(v.u64(at + handlePID)), Value: v.u64(at + handleValue), Access: v.u32(at + handleAccess), Type: v.u16(at + handleType)})
	}
	if n > whole {
		v.short = true
	}
	return list, v.err("table of handles")
}

// Offsets in RTL_PROCESS_MODULES and its rows (phnt, ntldr.h).
const (
	driverRows  = 8
	driverSize  = 296
	driverBase  = 16
	driverBytes = 24
	driverName  = 38
	driverPath  = 40
)

// Driver is a file that is loaded into the kernel.
type Driver struct {
	// Path is as the kernel has it, such as \SystemRoot\System32\drivers\tcpip.sys, in the PC's
	// own 8-bit characters.
	Path []byte
	Base uint64 // 0 where the caller may not know it
	Size uint32
	// Name is where in Path the file's own name begins.
	Name int
}

// Drivers reads the answer of NtQuerySystemInformation(SystemModuleInformation).
func Drivers(a Answer) (list []Driver, err error) {
	v := view{b: a.Bytes}
	n := v.u32(0)
	for i := range int(n) {
		at := driverRows + i*driverSize
		if at > len(a.Bytes)-driverSize {
			v.short = true
			break
		}
		d := Driver{Base: v.u64(at + driverBase), Size: v.u32(at + driverBytes), Name: int(v.u16(at + driverName)), Path: v.at(at+driverPath, 256)}
		for k, c := range d.Path {
			if c == 0 {
				d.Path = d.Path[:k]
				break
			}
		}
		d.Name = min(d.Name, len(d.Path))
		list = append(list, d)
	}
	return list, v.err("table of drivers")
}
