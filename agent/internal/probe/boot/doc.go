// Package boot is the probe of how a boot before this one ended. It reads no source
// itself and knows nothing of how a verdict comes about.
//
// What evidence: one line: the verdict, every source that was asked and what it said,
// who or what asked for the shutdown, the boot identifiers on both sides, between which
// moments the end lies, and how long before it there was no evidence.
//
// Source of truth: Linux: the agent's own notes, /proc/sys/kernel/random/boot_id,
// /var/log/wtmp (utmp(5)), /var/log/journal, /dev/kmsg, /run/initramfs/fsck.log,
// /sys/fs/pstore and /var/lib/systemd/pstore, /var/crash, /sys/class/watchdog. Windows:
// not yet.
//
// Privileges: reading the journal needs the group systemd-journal, the kernel's log and
// pstore need root; without them these sources are "denied" and the verdict leans on the
// rest.
//
// Footprint: reads only, at most a few megabytes.
//
// Volatility: Derivable. Sources fade within hours of the start all the same: logs are
// rotated and the kernel's buffer is overwritten.
//
// Blind spots: whoever is root can write every one of these files; that is why none is
// believed alone. Where the journal is kept in memory and wtmp is absent, only the agent
// speaks, and the verdict is "unknown". A crash that leaves no dump, a forced reset and a
// loss of power look the same: "abrupt".
package boot
