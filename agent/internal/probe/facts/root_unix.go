//go:build unix

package facts

import "syscall"

// nonblock keeps a pipe that lies in the place of a file from holding the reading up.
const nonblock = syscall.O_NONBLOCK
