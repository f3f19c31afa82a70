// Package shared is the probe of what programs share and leave lying about: shared memory,
// semaphores and queues, and the names in temporary folders. It knows nothing of what any
// of it holds.
//
// What evidence: a line per object of System V IPC, and one per file in /dev/shm,
// /dev/mqueue, /tmp and /var/tmp with owner, mode and times, three folders deep.
//
// Source of truth: Linux: /proc/sysvipc (sysvipc(7)), stat(2). Windows: the names of pipes
// (FindFirstFile), NetShareEnum and NetFileEnum, which need an administrator.
//
// Privileges: none for most; root for folders of other users.
//
// Footprint: reads of small files and of folders. No file is opened.
//
// Volatility: Presence: gone with the power, and often before.
//
// Blind spots: IPC and /tmp of other namespaces (systemd's PrivateTmp lies below /tmp as
// root sees it); what a mount hides.
package shared
