// Package keyring is the probe of the kernel's keys and keyrings. It knows nothing of what
// a key holds: that is never read.
//
// What evidence: a line per key that the agent may see, with its type, owner, name and
// expiry: keys of encrypted disks and network file systems, tickets of Kerberos, and
// whatever somebody hides in a keyring.
//
// Source of truth: Linux: /proc/keys (proc_keys(5)). Windows: not yet.
//
// Privileges: none; the kernel shows those that the reader may view, to root most.
//
// Footprint: one read.
//
// Volatility: Presence.
//
// Blind spots: keys that are possessed by another process alone; other user namespaces.
package keyring
