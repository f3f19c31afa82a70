// Package filelock is the probe of the locks on files: who holds a file and who waits for
// it. It knows nothing of why.
//
// What evidence: one line per lock (POSIX, open-file-description, flock, lease), with the
// process that holds or waits and the file's path as far as one of its descriptors leads
// there. Data bases, mail stores and single-instance malware show themselves here.
//
// Source of truth: Linux: /proc/locks (proc_locks(5)) and /proc/PID/fd. Windows: not yet.
//
// Privileges: none for the list; CAP_SYS_PTRACE for the paths of processes of others.
//
// Footprint: reads of /proc, and a stat(2) of each descriptor of the processes that have
// locks; at most 4,096 of each process.
//
// Volatility: Handles: gone with the process.
//
// Blind spots: locks of another PID namespace stand without their process. A file system
// that gives other device numbers to stat(2) (btrfs, overlay) is matched by inode alone.
package filelock
