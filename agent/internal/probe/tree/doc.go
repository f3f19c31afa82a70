// Package tree walks and opens files as evidence: it follows no link but the system's own
// between folders, opens plain files alone, enters no file system that asks somebody else
// before it answers, and leaves the times of the last access where the system allows it.
// It knows nothing of which files matter.
//
// Source: openat(2), statx(2), getdents(2) and proc_pid_mountinfo(5). Elsewhere than on
// Linux everything returns [errors.ErrUnsupported].
package tree
