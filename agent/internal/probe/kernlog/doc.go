// Package kernlog is the probe of the kernel's own log: programs that crashed, modules and
// programs of eBPF that were loaded, devices that came and went. It knows nothing of what
// is alarming.
//
// What evidence: a line per line of the log of this boot, as far as the kernel still has
// it.
//
// Source of truth: Linux: syslog(2), SYSLOG_ACTION_READ_ALL. Windows: not yet.
//
// Privileges: CAP_SYSLOG where kernel.dmesg_restrict is set, as is usual.
//
// Footprint: one call. The log stays as it is.
//
// Volatility: Machine: gone with the power, the oldest before.
//
// Blind spots: what newer lines have pushed out; a container reads the log of its host.
// Programs of root can write lines, with a facility that is not the kernel's. Times are
// those of a clock that stands still while the PC sleeps.
package kernlog
