// Package namespace is the probe of namespaces and containers: who lives apart from the
// rest of the PC, and on which files. It knows nothing of what a container is for.
//
// What evidence: a line per namespace (cgroup, ipc, mnt, net, pid, time, user, uts) by its
// inode: who lives in it, who holds it open, where it is mounted, whose rights count in
// it; of a mount namespace apart also what its root is and, of an overlay, where the
// layers lie on the host. A line per container that the paths of control groups tell of,
// with its runtime.
//
// Source of truth: Linux: /proc/PID/ns (namespaces(7)), ioctl_ns(2), /proc/PID/mountinfo of
// one member, nsfs among the agent's own mounts; control groups and open files from
// package scan. Windows: not yet.
//
// Privileges: CAP_SYS_PTRACE for processes of others.
//
// Footprint: reads of links of /proc; a namespace is opened for a moment to ask who owns
// it. None is entered.
//
// Volatility: Handles: gone with the process.
//
// Blind spots: a namespace that only a socket, a thread other than the first, or a mount
// in another mount namespace keeps. Containers whose control groups have other paths show
// as namespaces alone; images and names are in files of their runtime, which are not read.
package namespace
