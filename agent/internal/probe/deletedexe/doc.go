// Package deletedexe is the probe that saves the bytes of running programs whose file has
// no name any more or never was on a disk. It knows nothing of what the programs do.
//
// What evidence: for each such executable its size, times, owner, the processes that run
// it, and its bytes with their SHA-256: at most 32 MiB of each file and 64 MiB of all, the
// small ones first, so that a big decoy does not keep a small program out; and the users
// who run them take turns by bytes, so that one user's many decoys keep no program of
// another out. What was cut or did not answer says so.
//
// Source of truth: Linux: /proc/PID/exe, opened and read; the process is checked to be
// the one of the process list. Windows: not yet.
//
// Privileges: CAP_SYS_PTRACE for processes of other users; CAP_DAC_READ_SEARCH for
// executables that only their owner may read.
//
// Footprint: reads of the executables.
//
// Volatility: Handles: the bytes are gone for ever when the last process ends.
//
// Blind spots: enough small decoys keep out a bigger program of the same user, which is
// told with its processes all the same; libraries that were deleted are named by package procmap but not saved, and
// so is code that was written into memory. An update of the system leaves running programs
// deleted too: they are saved like the others.
package deletedexe
