// Package bodyfile is the probe of the names and times of what lies in chosen folders,
// from which a timeline of the PC is made. It knows nothing of contents.
//
// What evidence: a line per entry with kind, permissions, owner, size, the four times and
// where a link leads; a line per tree with how far it was walked.
//
// Source of truth: Linux: getdents(2) and statx(2). Windows: not yet.
//
// Privileges: root for folders of other users.
//
// Footprint: the folders of [trees] are read, without changing the time of their last
// access where the system allows it. File systems of the network, FUSE and those of the
// kernel are not entered.
//
// Volatility: Derivable.
//
// Blind spots: names of files in homes are left out, and folders of browsers, mail and keys
// are not entered, unless the privacy scope allows it. Times can be set by whoever owns a
// file, all but the change of its entry.
package bodyfile
