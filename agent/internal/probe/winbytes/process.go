package winbytes

// Offsets in SYSTEM_PROCESS_INFORMATION (winternl.h; phnt, ntexapi.h).
const (
	procNext     = 0x00
	procThreads  = 0x04
	procCreate   = 0x20
	procUser     = 0x28
	procKernel   = 0x30
	procImage    = 0x38
	procPID      = 0x50
	procPPID     = 0x58
	procHandles  = 0x60
	procSession  = 0x64
	procWorking  = 0x90
	procPrivate  = 0xc8
	procReads    = 0xd0
	procWrites   = 0xd8
	procReadB    = 0xe8
	procWriteB   = 0xf0
	procInfoSize = 0x100 // without the threads behind it
)

// Process is one row of the system's process table.
type Process struct {
	PID, PPID int
	// Created is a FILETIME; 0 for what has none, such as the idle process.
	Created int64
	// Name is that of the program's file, without folders.
	Name    string
	NameRaw []byte
	Threads uint32
	Handles uint32
	Session uint32
	// UserTime and KernelTime are in 100 ns.
	UserTime, KernelTime int64
	WorkingSet           uint64 // bytes in memory
	PrivateBytes         uint64 // bytes that are its own, in memory or not
	Reads, Writes        uint64 // calls
	ReadBytes            uint64
	WrittenBytes         uint64
}

// Processes reads the answer of NtQuerySystemInformation(SystemProcessInformation): one
// moment of all processes. What was read before an error is valid.
func Processes(a Answer) (list []Process, err error) {
	for from := 0; ; {
		v := view{b: a.Bytes[from:]}
		next := int64(v.u32(procNext))
		p := Process{
			PID: int(v.u64(procPID)), PPID: int(v.u64(procPPID)), Created: v.i64(procCreate),
			Threads: v.u32(procThreads), Handles: v.u32(procHandles), Session: v.u32(procSession),
			UserTime: v.i64(procUser), KernelTime: v.i64(procKernel),
			WorkingSet: v.u64(procWorking), PrivateBytes: v.u64(procPrivate),
			Reads: v.u64(procReads), Writes: v.u64(procWrites), ReadBytes: v.u64(procReadB), WrittenBytes: v.u64(procWriteB),
		}
		if err := v.err("process table"); err != nil {
			return list, err
		}
		name, err := a.Unicode(from + procImage)
		if err != nil {
			return list, err
		}
		p.Name, p.NameRaw = Text(name)
		list = append(list, p)
		if next == 0 {
			return list, nil
		}
		if next < procInfoSize || next > int64(len(v.b)) {
			return list, (&view{short: true}).err("process table")
		}
		from += int(next)
	}
}
