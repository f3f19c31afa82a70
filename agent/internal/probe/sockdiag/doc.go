// Package sockdiag asks the Linux kernel for the sockets of a network namespace over
// netlink (sock_diag(7)) and reads the answers. It knows nothing of processes.
//
// A dump of one protocol is read under the kernel's own locks, hash bucket by hash
// bucket, so it neither repeats nor loses a socket that lives through it; the texts
// of /proc/net do both.
package sockdiag
