// Package procstate is the probe of what processes may do, which service they belong to,
// which threads they have and on what they listen. It knows nothing of what is usual.
//
// What evidence: for every process beside what package process tells: capability sets,
// seccomp, no_new_privs, saved and file-system users, supplementary groups, the label of
// the security module, the audit's sign-in and session, a changed root, the names of its
// threads, the units of the system manager from its control group, and the ports on which
// it waits for others: which service listens.
//
// Source of truth: Linux: /proc/PID/{status,attr/current,loginuid,sessionid,oom_score_adj,
// root,task/*/comm} (proc(5)); sockets and control groups from package scan. At most 256
// threads of each process. Windows: not yet.
//
// Privileges: none for most of it; root needs CAP_SYS_PTRACE for processes of others.
//
// Footprint: reads of /proc only.
//
// Volatility: Handles: gone with the process.
//
// Blind spots: a control group tells the unit only where systemd made it; whoever is root
// can put a process into another one. Threads choose their names. Ports of other network
// namespaces are told like those of the host.
package procstate
