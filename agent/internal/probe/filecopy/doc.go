// Package filecopy is the probes that copy chosen files byte for byte: logs, histories of
// shells, the files by which something starts, and, where the privacy scope allows it,
// private ones. It knows nothing of what stands in them.
//
// What evidence: for each file its status, its bytes with their SHA-256, and what it did
// while it was read; for each row of [Table] what was looked for and what came of it, so
// that a file that is not there shows too.
//
// Source of truth: Linux: the files. Windows: not yet.
//
// Privileges: root for most.
//
// Footprint: files and folders are read, without changing the time of their last access
// where the system allows it. Only plain files are opened, no link is followed into one,
// and nothing on file systems of the network, FUSE and the kernel is.
//
// Volatility: Derivable.
//
// Blind spots: what is behind the limits of the table; an index of the journal that is being written
// may not fit its data. Private rows are left out unless the privacy scope allows them.
package filecopy
