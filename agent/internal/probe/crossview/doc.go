// Package crossview is the probe of what is hidden: it asks for the same things in ways
// that hiding has to fool at the same time, and tells where the answers differ. It knows
// nothing of who hides what.
//
// What evidence: for each check a line with what every view showed, and a line for each
// difference. A difference counts only if a second look shows it again: things come and
// go while they are counted.
//
//   - processes: the list of /proc against asking the kernel for every number up to the
//     greatest (tgkill(2) with signal 0, which answers for processes and not for their
//     threads), and for those that differ sched_getaffinity(2), getpgid(2), the folder by
//     its name, and a /proc of our own.
//   - covered: what is mounted over the folder of a process or over other parts of /proc
//     that tools read, from statx(2) and /proc/self/mountinfo. What lies under it is read
//     from a /proc of our own.
//   - sockets: sock_diag(7) against /proc/net, by inode, in the network namespace of the
//     agent.
//   - modules: /proc/modules against /sys/module.
//
// Source of truth: Linux, as above. Windows: not yet.
//
// Privileges: a /proc of our own needs CAP_SYS_ADMIN and the calls fsopen(2), fsconfig(2)
// and fsmount(2), which the units of the service allow; without them a hidden process is
// told by its number alone, and what lies under a mount is not read. Where /proc hides
// processes of others from an unprivileged agent (hidepid), nothing is told of those.
//
// Footprint: signal 0, which is no signal; a /proc that is mounted nowhere and goes with
// its descriptor; reads.
//
// Volatility: Handles.
//
// Blind spots: a kernel that is lied to in all views alike hides well: a rootkit that also
// hooks the calls above, or takes a process out of the kernel's tables. Hiding by a library
// (LD_PRELOAD) does not reach the agent at all, which uses none. Sockets of other network
// namespaces are not compared. Raw and packet sockets have one view alone where the
// kernel lacks their sock_diag.
package crossview
