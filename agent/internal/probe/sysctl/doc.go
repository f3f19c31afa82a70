// Package sysctl is the probe of the kernel's settings that matter to an investigation:
// those that intruders change, those that harden a system, and those that decide what
// other evidence can be had. It knows nothing of all the others.
//
// What evidence: a line per setting of [Settings] that the kernel has, with its value and
// what it decides.
//
// Source of truth: Linux: /proc/sys (sysctl(8)). Windows: not yet.
//
// Privileges: none for most; the kernel keeps a few to root.
//
// Footprint: reads of small files. fs.binfmt_misc.status is read only where that file
// system is mounted already: systemd would mount it for whoever asks.
//
// Volatility: Machine.
//
// Blind spots: values of other network namespaces; what the settings' files would make of
// them at the next start is of package autostart.
package sysctl
