// Package openfile is the probe of open descriptors. It knows nothing of the contents
// of files; package scan does the reading.
//
// What evidence: per process, the number of each open descriptor and what it refers
// to: files (deleted ones too), sockets, pipes, devices, memory files. A process that
// holds a thousand documents open is what encryption for ransom looks like.
//
// Source of truth: Linux: the links of /proc/PID/fd (proc_pid_fd(5)).
// Windows: the table of all handles (NtQuerySystemInformation, class 64); those of types that
// have names are duplicated and asked for them (NtQueryObject), files by a thread of their own
// that is left behind when there is no answer. Handles without a name are not told.
//
// Privileges: CAP_SYS_PTRACE for processes of other users; those that refuse are
// counted and the outcome is partial.
//
// Footprint: links are read, never opened, so no file is touched and no access time
// moves.
//
// Volatility: Handles.
//
// Blind spots: files mapped into memory and closed again; descriptors in flight over
// a unix socket or held by io_uring; descriptors opened and closed between two passes.
// A path is what it was called in the mount namespace of its process.
package openfile
