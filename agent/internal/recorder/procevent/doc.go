// Package procevent tells which processes start, end and change, from the kernel's
// process events (CN_PROC of connector(7), linux/cn_proc.h), and reads what /proc says
// of one process. It knows nothing of rings, nor of which processes there were before.
//
// The kernel numbers the events on each processor. A number that is missing is an
// event that was lost, whoever lost it, and becomes a Gap; so does a receive buffer
// that ran over, whose losses the numbers then count. Events exist in the initial
// network, PID and user namespaces only, and need CAP_NET_ADMIN.
//
// An exec is told without its arguments: they are read from /proc at once, and a
// process that ended within a millisecond may be gone by then. The event says so.
// The end of a process is told when its first thread ends; others may still run.
package procevent
