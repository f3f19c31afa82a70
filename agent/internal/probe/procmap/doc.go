// Package procmap is the probe of what is mapped into processes: programs, libraries,
// data and anonymous memory. It knows nothing of what stands in the memory.
//
// What evidence: for every process its ranges of memory with their rights, and the files
// behind them, each named once with device and inode: the loaded libraries among them.
// Executable memory that comes from no file a person could look at is marked: anonymous,
// writable too, from a deleted file, from a file that never was on a disk. Marks are no
// verdict: programs that compile while they run have anonymous executable memory, and an
// update leaves libraries deleted.
//
// Source of truth: Linux: /proc/PID/maps (proc_pid_maps(5)), at most 8,192 ranges of each
// process. Windows: EnumProcessModulesEx, and of VirtualQueryEx what can be executed and is
// not of a loaded module.
//
// Privileges: none for a process of the same user, else CAP_SYS_PTRACE.
//
// Footprint: reads of /proc only. Reading takes the memory lock of the process for
// microseconds, page by page.
//
// Volatility: Handles: gone with the process.
//
// Blind spots: the kernel makes the text page by page, so a process that maps meanwhile
// may show a range twice or not at all. Device numbers of some file systems (btrfs,
// overlay) are not those of stat(2). A newline in a path stands as \012, as the kernel
// writes it. Memory of a library that was overwritten keeps its file's name.
package procmap
