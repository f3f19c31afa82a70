package memory

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/facts"
)

const nonblock = unix.O_NONBLOCK

// openProc opens a file of the procfs at /proc. A file that is mounted over it is told by
// openat2(2), be it of another procfs; on a kernel before 5.6 by its file system alone.
func openProc(r facts.Root, name string) (*os.File, error) {
	dir, err := r.OpenFile("proc", os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := ofProcfs(dir); err != nil {
		return nil, &refused{"/proc is not the kernel's own: " + err.Error()}
	}
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOFOLLOW
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // a filter of system calls says EPERM of what it does not know
		fd, err = unix.Openat(int(dir.Fd()), name, flags, 0)
	}
	switch {
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ELOOP):
		return nil, overlaid(name)
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: "/proc/" + name, Err: err}
	}
	f := os.NewFile(uintptr(fd), "/proc/"+name)
	if err := ofProcfs(f); err != nil {
		return nil, errors.Join(overlaid(name), f.Close())
	}
	return regular(f, name)
}

// ofProcfs reports with an error that a file is not one of procfs (statfs(2)).
func ofProcfs(f *os.File) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return os.NewSyscallError("fstatfs", err)
	}
	if int64(st.Type) != unix.PROC_SUPER_MAGIC {
		return fmt.Errorf("its file system is 0x%x", st.Type)
	}
	return nil
}
