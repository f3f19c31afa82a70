package scan

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below are those of x/sys without its copying of every path into a fresh
// string: a pass makes some forty thousand of them. Paths end in NUL. They return
// unix.Errno zero on success, and a count of zero beside any other.

func openat(dir int, path []byte, flags int) (int, unix.Errno) {
	for {
		fd, _, e := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])), uintptr(flags|unix.O_CLOEXEC), 0, 0, 0)
		if e != unix.EINTR {
			return int(fd), e
		}
	}
}

// openat counts what it opens for reading.
func (w *worker) openat(dir int, path []byte, flags int) (int, unix.Errno) {
	fd, e := openat(dir, path, flags)
	if e == 0 {
		w.opened.One()
	}
	return fd, e
}

func read(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, e := unix.Syscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if e != unix.EINTR {
			return count(n, e), e
		}
	}
}

// count is the result of a call that returns -1 when it fails.
func count(n uintptr, e unix.Errno) int {
	if e != 0 {
		return 0
	}
	return int(n)
}

// readlinkat only looks into the kernel's own memory, so it does not tell the Go
// scheduler that it might wait.
func readlinkat(dir int, path, b []byte) (int, unix.Errno) {
	n, _, e := unix.RawSyscall6(unix.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0)
	return count(n, e), e
}

func getdents(fd int, b []byte) (int, unix.Errno) {
	n, _, e := unix.Syscall(unix.SYS_GETDENTS64, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return count(n, e), e
}

func closeFD(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// fstat fills st with the status of fd itself.
func fstat(fd int, st *unix.Stat_t) unix.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	return e
}

// names calls f with each name, its NUL included, of a getdents64(2) buffer.
func names(b []byte, f func(name []byte) bool) {
	const recLen, nameAt = 16, 19
	for len(b) > nameAt {
		n := int(binary.NativeEndian.Uint16(b[recLen:]))
		if n <= nameAt || n > len(b) {
			return
		}
		name := b[nameAt:n]
		for i, c := range name {
			if c == 0 {
				name = name[:i+1]
				break
			}
		}
		if !f(name) {
			return
		}
		b = b[n:]
	}
}

// gone reports whether e means that the process is no more.
func gone(e syscall.Errno) bool { return e == unix.ENOENT || e == unix.ESRCH }
