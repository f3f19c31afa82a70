package procevent

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/recorder/entry"
)

// Reader reads /proc. It is for one goroutine; what it returns is valid until it is
// asked again.
type Reader struct {
	proc                       int // /proc itself
	list                       int // /proc again, for its own position in the directory
	cmdline, exe, stat, status []byte
	dirents                    []byte
	pids                       []int
	path                       []byte
}

// The rooms of small texts. /proc/PID/status is read as far as the identities.
const (
	statRoom    = 1 << 10
	statusRoom  = 1 << 10
	direntsRoom = 16 << 10
)

// NewReader opens /proc below root.
func NewReader(root string) (*Reader, error) {
	path := filepath.Join(root, "proc")
	proc, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	list, err := unix.Openat(proc, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		unix.Close(proc)
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &Reader{
		proc: proc, list: list,
		cmdline: make([]byte, entry.MaxCmdline+1), exe: make([]byte, entry.MaxPath),
		stat: make([]byte, statRoom), status: make([]byte, statusRoom), dirents: make([]byte, direntsRoom),
	}, nil
}

// Close ends the Reader.
func (r *Reader) Close() error { return errors.Join(unix.Close(r.proc), unix.Close(r.list)) }

// PIDs lists the processes in rising order.
func (r *Reader) PIDs() ([]int, error) {
	if _, err := unix.Seek(r.list, 0, 0); err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	r.pids = r.pids[:0]
	for {
		n, err := unix.Getdents(r.list, r.dirents)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list processes: %w", err)
		}
		if n == 0 {
			slices.Sort(r.pids)
			return r.pids, nil
		}
		names(r.dirents[:n], func(name []byte) {
			if pid, ok := procfs.PID(name); ok {
				r.pids = append(r.pids, pid)
			}
		})
	}
}

// Read reads of process e.PID what a start should say: command line and executable
// first, for they vanish first.
func (r *Reader) Read(e *entry.Event) {
	n, err := r.file(e.PID, "/cmdline", r.cmdline)
	r.note(e, entry.UnreadCmdline, err)
	if e.Unread&entry.UnreadGone != 0 {
		e.Unread |= entry.UnreadExe | entry.UnreadStat | entry.UnreadIDs
		return
	}
	e.Cmdline, e.CmdlineCut = r.cmdline[:min(n, entry.MaxCmdline)], n > entry.MaxCmdline
	r.Plain(e)
	if e.Unread&entry.UnreadGone != 0 && n == 0 {
		e.Unread |= entry.UnreadCmdline // it was taken from it already
	}
}

// Plain reads all that Read does but the command line, which alone stands in the memory
// of the process. None of it waits for that memory, or for a file system.
func (r *Reader) Plain(e *entry.Event) {
	r.path = append(strconv.AppendInt(r.path[:0], int64(e.PID), 10), "/exe"...)
	k, err := unix.Readlinkat(r.proc, string(r.path), r.exe)
	if err == nil {
		e.Exe = r.exe[:k]
	}
	state := r.Stat(e)
	switch {
	case e.Unread&entry.UnreadStat != 0, state == 'Z', state == 'X':
		// It ended meanwhile; what it had was taken from it already.
		e.Unread |= entry.UnreadGone
		if err != nil {
			e.Unread |= entry.UnreadExe
		}
	case err != nil && !e.Kernel:
		r.note(e, entry.UnreadExe, err)
	}
	n, err := r.file(e.PID, "/status", r.status)
	r.note(e, entry.UnreadIDs, err)
	if err == nil {
		st := procfs.ParseStatus(r.status[:n])
		e.UID, e.EUID = st.UID, st.EUID
	}
}

// Stat reads who the parent is, when it started and its name, and returns its state
// (proc_pid_stat(5)), 0 when it is not known. A state of 0 also stands for a process
// whose first thread alone has ended.
func (r *Reader) Stat(e *entry.Event) (state byte) {
	n, err := r.file(e.PID, "/stat", r.stat)
	if err != nil {
		r.note(e, entry.UnreadStat, err)
		return 0
	}
	s, err := procfs.ParseStat(r.stat[:n])
	if err != nil {
		e.Unread |= entry.UnreadStat
		return 0
	}
	e.PPID, e.StartTicks, e.Comm, e.Kernel = s.PPID, s.StartTicks, s.Comm, s.Kernel
	if s.State == 'Z' && s.Threads > 1 {
		return 0
	}
	return s.State
}

func (r *Reader) note(e *entry.Event, what entry.Unread, err error) {
	switch {
	case err == nil:
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		e.Unread |= what | entry.UnreadGone
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		e.Unread |= what | entry.UnreadDenied
	default:
		e.Unread |= what
	}
}

// file reads as much of a text of a process as b holds.
func (r *Reader) file(pid int, name string, b []byte) (int, error) {
	r.path = append(strconv.AppendInt(r.path[:0], int64(pid), 10), name...)
	fd, err := openat(r.proc, string(r.path))
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	n := 0
	for n < len(b) {
		k, err := unix.Read(fd, b[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return n, err
		}
		if n += k; k == 0 || k < len(b) && n < len(b) && name != "/cmdline" {
			break // these texts come whole
		}
	}
	return n, nil
}

func openat(dir int, path string) (int, error) {
	for {
		fd, err := unix.Openat(dir, path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// Sockets calls f with the inode of each socket that a process holds.
func (r *Reader) Sockets(pid int, f func(inode uint64)) error {
	r.path = append(strconv.AppendInt(r.path[:0], int64(pid), 10), "/fd"...)
	dir, err := unix.Openat(r.proc, string(r.path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("list descriptors: %w", err)
	}
	defer unix.Close(dir)
	for {
		n, err := unix.Getdents(dir, r.dirents)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		names(r.dirents[:n], func(name []byte) {
			if len(name) == 0 || name[0] == '.' {
				return
			}
			if k, err := unix.Readlinkat(dir, string(name), r.exe); err == nil {
				if inode := procfs.SocketInode(r.exe[:k]); inode != 0 {
					f(inode)
				}
			}
		})
	}
}

// Find calls found with each of the sockets want that one of pids holds, until all are
// found; no pids means all processes, the highest number, often the youngest, first.
// Processes that end or refuse are passed over. Of several who hold one, one is named.
func (r *Reader) Find(pids []int, want map[uint32]struct{}, found func(inode uint32, pid int)) error {
	if pids == nil {
		var err error
		if pids, err = r.PIDs(); err != nil {
			return err
		}
		slices.Reverse(pids)
	}
	left := len(want)
	seen := make(map[uint32]struct{}, left)
	for _, pid := range pids {
		_ = r.Sockets(pid, func(inode uint64) {
			i := uint32(inode)
			if _, ok := want[i]; !ok {
				return
			}
			if _, again := seen[i]; !again {
				seen[i] = struct{}{}
				left--
				found(i, pid)
			}
		})
		if left == 0 {
			break
		}
	}
	return nil
}
