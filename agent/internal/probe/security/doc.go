// Package security is the probe of the security tools in place and of their state. It
// knows nothing of how well any of them works.
//
// What evidence: a line per tool that is known to this version, those that are not there
// too: whether it runs, is installed or is set not to run, its processes, units and files;
// and of the kernel's own: mandatory access control, audit, lockdown, integrity
// measurement. An intruder who switches a tool off shows here.
//
// Source of truth: Linux: processes from package scan, unit files of systemd.unit(5), the
// tools' usual places, /sys/kernel/security, /sys/fs/selinux, AUDIT_GET by netlink
// (audit(7)). Windows: the service control manager, and the values of the registry that say how
// Defender and the firewall are set.
//
// Privileges: CAP_AUDIT_CONTROL for the audit's state, root for AppArmor's profiles.
//
// Footprint: a few questions to the kernel, lists of folders and stat(2). No file of a tool
// is read but /etc/ufw/ufw.conf and /etc/selinux/config.
//
// Volatility: Machine.
//
// Blind spots: tools that are not in the table; one that is installed elsewhere and does
// not run. Names of processes are chosen by who starts them: one that is neither root's nor
// of a program of the tool does not count as running. What a unit is loaded as is
// told by package autostart.
package security
