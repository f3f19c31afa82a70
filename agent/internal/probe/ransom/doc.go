// Package ransom is the probes of what people need to know when files are being encrypted:
// which process writes, how far it came, what it demands, and what is left to restore from.
// It knows nothing of which ransomware it is.
//
// What evidence: what each process reads and writes; how many files changed when, by
// extension and folder; names that may be demands, and their contents; snapshots and traces
// of backup programs; file systems of the network that this PC uses or offers.
//
// Source of truth: Linux: /proc/PID/io twice, a second apart (proc_pid_io(5)); statx(2) of the
// files outside of the system's folders; mountinfo, /sys/class/block, and the files of
// programs in [programs] and of NFS and Samba. Windows: not yet.
//
// Privileges: root for most.
//
// Footprint: folders are read, not files, but for the demands, without changing the time of the
// last access where the system allows it. File systems of the network are not entered.
//
// Volatility: Handles for processes, Presence for shares, else Derivable.
//
// Blind spots: who sets times back hides changes of content, not those of the entry; shares
// of Samba that a registry of its own holds; snapshots that only their own programs list, as
// those of btrfs that lie in no usual folder.
package ransom
