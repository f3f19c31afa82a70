// Package memory is the probe of the PC's physical memory, with what an analyst needs
// beside it. It knows nothing of what memory means.
//
// What evidence: an image of all memory that the kernel lists as its own ("System RAM"),
// in the format of LiME, version 1, which Volatility and others read; a line for each
// part of it with when it was read, how fast, and what could not be; which kernel it is,
// its symbols, types and options.
//
// Source of truth: Linux: /proc/iomem and /proc/kcore (proc_iomem(5), proc_kcore(5)), whose program
// headers say where physical memory stands in it (Linux 4.11 and later);
// /proc/kallsyms, /sys/kernel/btf/vmlinux, /sys/kernel/notes, /boot. Windows: not yet.
//
// Privileges: CAP_SYS_RAWIO for /proc/kcore, CAP_SYS_ADMIN for the addresses in
// /proc/iomem, CAP_SYSLOG for those in /proc/kallsyms. kernel_lockdown(7) in the mode
// confidentiality refuses it to everybody.
//
// Footprint: reads all of memory once, a mebibyte at a time, with a low priority. The
// image takes room on the disk; it is not begun where less would be left than the PC
// needs.
//
// Volatility: Image. Memory is the most volatile of all, but reading it takes minutes in
// which all else would change, so what is read in milliseconds comes before it.
//
// Blind spots: memory changes while it is read, so parts of an image may contradict each
// other; memory of devices, of hypervisors and of other guests; pages that the kernel
// keeps back (poisoned, given to a balloon) are zeros to everybody, and are not told
// apart; whatever a compromised kernel hides. The parts of a page at the ends of a range,
// which the kernel does not use, are left out.
package memory
