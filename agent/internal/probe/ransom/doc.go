// Package ransom is the probes of what people need to know when files are being encrypted:
// which process writes, how far it came and what it demands. It knows nothing of which
// ransomware it is.
//
// What evidence: what each process reads and writes; how many files changed when, by
// extension and folder; names that may be demands, and their contents.
//
// Source of truth: Linux: /proc/PID/io twice, a second apart (proc_pid_io(5)); statx(2) of the
// files outside of the system's folders. Windows: not yet.
//
// Privileges: root for most.
//
// Footprint: folders are read, not files, but for the demands, without changing the time of the
// last access where the system allows it. File systems of the network are not entered.
//
// Volatility: Handles for processes, else Derivable.
//
// Blind spots: who sets times back hides changes of content, not those of the entry; what
// is encrypted in place, under its old name, shows in the times alone.
package ransom
