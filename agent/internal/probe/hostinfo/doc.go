// Package hostinfo is the probe of the machine itself: one line that tells a reader
// years later what kind of PC this was. It knows nothing of what ran on it.
//
// What evidence: names and identifiers, operating system and kernel with its command
// line, boot time, processor, memory, mounted file systems.
//
// Source of truth: Linux: uname(2), /etc/os-release, /etc/machine-id, /proc/{stat,
// cmdline,meminfo,cpuinfo,mountinfo}, /sys/class/dmi; memory, processor and mounts
// through gopsutil with its roots given explicitly, because it would otherwise take
// them from the environment. Windows: gopsutil (registry and system calls).
//
// Calls of gopsutil that are not used, with the reason: host.Info and
// host.PlatformInformation run lsb_release; host.BootTime and host.Virtualization
// read the environment of the first process; host.HostID gives the boot
// identifier where there is no better one.
//
// Privileges: none.
//
// Footprint: reads of small files. Free space is asked of local file systems only: the
// question hangs on a network file system whose server is gone.
//
// Volatility: Machine.
//
// Blind spots: inside a container it is the host's kernel and memory with the
// container's files; a virtual machine may say what it likes of its hardware.
package hostinfo
