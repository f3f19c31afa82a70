// Package procdump is the probe of the memory of one process that somebody chose. It knows
// nothing of what the memory means.
//
// What evidence: all memory of the process that can be read, its threads, modules and handles, as a
// minidump, which WinDbg, Volatility and others read; a line that says which process it is of.
//
// Source of truth: Windows: MiniDumpWriteDump of the system's own dbghelp.dll. Elsewhere: not yet.
//
// Privileges: the right to read the process; an administrator's agent switches the privilege for
// debugging on for as long as it opens the process. Protected processes refuse everybody.
//
// Footprint: the process is opened for reading and stands still while parts of it are read. The
// system writes the dump into a file in the agent's own folder, which goes when it was copied, and
// when the agent is killed. It is not begun where there is no room for both, and ended where it grows past
// what was measured.
//
// Volatility: Image. It takes seconds, in which the rest would change.
//
// Blind spots: memory that changes meanwhile; memory without access; what other processes share
// with it beyond its own view. lsass.exe of Windows is refused: its dump would hold the passwords of
// everyone who is signed in.
package procdump
