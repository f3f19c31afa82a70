// Package hostinfo is the probe of the machine itself: one line that tells a reader
// years later what kind of PC this was. It knows nothing of what ran on it.
//
// What evidence: names and identifiers, operating system and kernel with its command
// line, boot time, processor, memory, mounted file systems.
//
// Source of truth: Linux: uname(2), /etc/os-release, /etc/machine-id, /proc/{stat,
// cmdline,meminfo,cpuinfo,1/mountinfo}, /sys/class/dmi. Windows: gopsutil (registry and
// system calls).
//
// Linux is read without gopsutil: its host.Info and host.PlatformInformation run
// lsb_release, host.BootTime and host.Virtualization read the environment of the first
// process, host.HostID gives the boot identifier where there is no better one, and all of
// it reads from wherever HOST_PROC and its like in the environment point.
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
