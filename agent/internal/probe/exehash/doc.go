// Package exehash is the probe of what programs are made of: the SHA-256 of every
// executable that a process runs. It knows nothing of verdicts or of known hashes.
//
// What evidence: one line per executable file with its digest, size, times, owner and
// the processes that run it. Deleted files and files that never were on a disk
// (memfd_create(2)) are hashed like the others: their bytes live as long as the
// process. A thread of the kernel has no file and therefore no line.
//
// Source of truth: Linux: /proc/PID/exe, opened and read; the process is checked
// to be the one of the process list. Windows: the file that has the name of the program, which
// cannot be changed while it runs, and what WinVerifyTrust says of its signature without the
// network; what lies on another computer is not read.
//
// Privileges: CAP_SYS_PTRACE for processes of other users; CAP_DAC_READ_SEARCH for
// executables that only their owner may read.
//
// Footprint: reads of the executables. That fills the page cache and, on file
// systems mounted with strictatime, moves access times (relatime: once a day). It runs
// last and is cached across acquisitions, so an ordinary PC reads each file once.
//
// Volatility: Derivable, but for deleted and memory files, which die with their process.
//
// Blind spots: scripts (the interpreter is hashed, the script stands in the command
// line); shared libraries and code written into memory; a file whose bytes were changed
// behind the back of its file system. A digest is taken from the cache only if
// device, inode, size, modification and change time are the same, the file had been
// unchanged for two seconds when it was hashed, and its file system keeps change times
// for every write, which those in memory (tmpfs) do not.
package exehash
