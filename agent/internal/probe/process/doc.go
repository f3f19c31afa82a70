// Package process is the probe of running programs. It knows nothing of sockets or
// files; package scan does the reading.
//
// What evidence: every process and kernel thread with its identity (PID, start, boot),
// parent, command line (all bytes), executable, working directory, users and groups,
// terminal, control group, container, namespaces, tracer and capabilities. Whether the
// executable was deleted or never was on a disk is said, because that is how malware
// runs. The environment is not read: it holds secrets and is not needed in a flash
// capture.
//
// Source of truth: Linux: /proc/PID/{stat,status,cmdline,cgroup,exe,cwd,ns/*}
// (proc(5)), read directly; names of users and groups from the host's /etc/passwd and
// /etc/group. Windows: the process table in one call (NtQuerySystemInformation, class 5);
// then of each process, checked by its moment of creation, the command line
// (NtQueryInformationProcess, class 60; before Windows 8.1 from the process's memory), the
// path (QueryFullProcessImageName) and the token (user's SID, integrity, elevation). Names of
// accounts are not looked up: that can ask another computer.
//
// Privileges: none for a process of the same user. Of others, exe, cwd and the
// namespaces need CAP_SYS_PTRACE; without it they are listed in "unread" and the
// outcome is partial. A /proc mounted with hidepid hides whole processes, and then
// nothing tells that they are missing.
//
// Footprint: reads of /proc only. No process is stopped, traced or started. Reading
// a command line takes the memory lock of its process for microseconds and may bring
// a swapped-out page back.
//
// Volatility: Live.
//
// Blind spots: a kernel module can hide a process from /proc; so can a PID namespace
// in which the agent does not live (none is above the host's). What starts and ends
// between two passes is not seen. A process may overwrite its name and command line:
// exe is harder to forge. Threads are counted, not listed.
package process
