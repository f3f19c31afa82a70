// Package procfs turns the texts of Linux's /proc, /etc/passwd and /etc/group into
// values (proc(5)). It opens nothing: bytes in, values out, on every system.
//
// The texts are foreign: a process chooses its own name, command line and paths, and
// a hostile kernel module can write anything. No parser here panics, and none takes
// a position from a byte that a process could have put there.
package procfs
