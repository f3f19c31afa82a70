// Package kmod is the probe of the kernel's modules and of what taints the kernel. It
// knows nothing of what a module does.
//
// What evidence: a line for the kernel with its taint explained, and a line per loaded
// module: size, who uses it, state, its own taint (unsigned, out of tree, forced), and
// whether both of the kernel's lists show it.
//
// Source of truth: Linux: /proc/modules (proc_modules(5)), /sys/module,
// /proc/sys/kernel/tainted (Documentation/admin-guide/tainted-kernels.rst). Windows:
// NtQuerySystemInformation, class 11.
//
// Privileges: none.
//
// Footprint: reads of small files.
//
// Volatility: Machine.
//
// Blind spots: a module that took itself out of both lists; code that was written into the
// kernel without a module. Parts that are compiled in are none.
package kmod
