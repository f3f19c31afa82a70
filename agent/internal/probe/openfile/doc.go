// Package openfile is the probe of open descriptors. It knows nothing of the contents
// of files; package scan does the reading.
//
// What evidence: per process, the number of each open descriptor and what it refers
// to: files (deleted ones too), sockets, pipes, devices, memory files. A process that
// holds a thousand documents open is what encryption for ransom looks like.
//
// Source of truth: Linux: the links of /proc/PID/fd (proc_pid_fd(5)). Windows: not yet.
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
