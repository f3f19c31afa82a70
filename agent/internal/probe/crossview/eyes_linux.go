package crossview

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

const (
	// greatestPID is the greatest number that a kernel gives a process (PID_MAX_LIMIT).
	greatestPID = 1 << 22
	// patience is how long a hidden process may take to show its command line, which it
	// can make hang.
	patience = 500 * time.Millisecond
	// asking is how long numbers are asked for that no process was given in turn.
	asking   = 2 * time.Second
	maxText  = 64 << 10
	maxFinds = 1000
)

// eyes are the views of this system.
type eyes struct {
	proc  int // /proc
	fresh int // a /proc of our own, mounted nowhere; -1 when there is none
	why   error
	// hides says that /proc leaves out processes that the agent may not trace (hidepid of
	// proc(5)): of those it can tell nothing.
	hides bool
	// ask is tgkill(2) with signal 0, replaced in tests.
	ask  func(pid int) bool
	list func(dir int) ([]int, error)
	max  int
	// diag and texted are the two views of a table of sockets, loaded those of modules, replaced in tests.
	diag   func(context.Context, *sockdiag.Conn, sockdiag.Request) ([]uint64, error)
	texted func(table) ([]uint64, error)
	loaded func() (proc, sys []string, err error)
	// patience is how long numbers are asked for that need not be.
	patience time.Duration
}

var errSlow = errors.New("this PC is too busy to ask for all")

func look() (*eyes, error) {
	dir, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /proc: %w", err)
	}
	e := &eyes{proc: dir, fresh: -1, ask: asked, list: listed, max: pidMax(), patience: asking, diag: diag, texted: texted, loaded: modulesLoaded}
	e.fresh, e.why = ownProc()
	e.hides = leavesOut(text(dir, "self/mountinfo")) && !there(dir, 1)
	return e, nil
}

func (e *eyes) close() {
	unix.Close(e.proc)
	if e.fresh >= 0 {
		unix.Close(e.fresh)
	}
}

// ownProc makes a /proc that is mounted nowhere, so that nobody can have mounted anything
// over parts of it (fsopen(2), fsmount(2)).
func ownProc() (int, error) {
	fs, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, os.NewSyscallError("fsconfig", err)
	}
	m, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsmount", err)
	}
	defer unix.Close(m)
	// The descriptor of the mount only names it; listing needs one that is opened.
	dir, err := unix.Openat(m, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("openat", err)
	}
	return dir, nil
}

func pidMax() int {
	b, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err == nil {
		if n, ok := procfs.Number(bytes.TrimSpace(b)); ok && n <= greatestPID {
			return int(n)
		}
	}
	return greatestPID
}

// asked reports whether the kernel knows a process of this number: not a thread of one,
// because the number must be that of the process and of its first thread.
func asked(pid int) bool {
	_, _, e := unix.RawSyscall(unix.SYS_TGKILL, uintptr(pid), uintptr(pid), 0)
	return e == 0 || e == unix.EPERM
}

// listed lists the processes of an open /proc.
func listed(dir int) ([]int, error) {
	if _, err := unix.Seek(dir, 0, io.SeekStart); err != nil {
		return nil, os.NewSyscallError("lseek", err)
	}
	buf := make([]byte, 64<<10)
	var pids []int
	for {
		n, err := unix.Getdents(dir, buf)
		if err != nil {
			return nil, os.NewSyscallError("getdents64", err)
		}
		if n <= 0 {
			break
		}
		pids = append(pids, pidsOf(buf[:n])...)
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// pidsOf reads the numbers among the names of a getdents64(2) buffer.
func pidsOf(b []byte) (pids []int) {
	const lengthAt, nameAt = 16, 19
	for len(b) > nameAt {
		n := int(binary.NativeEndian.Uint16(b[lengthAt:]))
		if n <= nameAt || n > len(b) {
			break
		}
		name, _, _ := bytes.Cut(b[nameAt:n], []byte{0})
		if pid, ok := procfs.PID(name); ok {
			pids = append(pids, pid)
		}
		b = b[n:]
	}
	return pids
}

// known asks the kernel for every number, up to the one it came to: in every case to
// surely, and to the greatest if that does not take too long. Numbers behind the one that
// was given last are asked because a process can be given any (clone3(2), set_tid).
func (e *eyes) known(ctx context.Context, surely int) (pids []int, upTo int, err error) {
	begun := time.Now()
	for pid := 1; pid <= e.max; pid++ {
		if pid%4096 == 0 {
			err := ctx.Err()
			if err == nil && pid > surely && time.Since(begun) > e.patience {
				err = errSlow
			}
			if err != nil {
				return pids, pid - 1, fmt.Errorf("ask for the numbers from %d on: %w", pid, err)
			}
		}
		if e.ask(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, e.max, nil
}

// lastGiven is the number that was given to a process last (proc_sys_kernel(5)); 0 when
// that is not known.
func lastGiven() int {
	b, err := os.ReadFile("/proc/sys/kernel/ns_last_pid")
	if err != nil {
		return 0
	}
	n, ok := procfs.Number(bytes.TrimSpace(b))
	if !ok || n > greatestPID {
		return 0
	}
	return int(n)
}

// there reports whether an open /proc has a folder of this number, listed or not.
func there(dir, pid int) bool {
	var st unix.Stat_t
	return unix.Fstatat(dir, strconv.Itoa(pid), &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// describe reads what is known of a process from an open /proc.
func describe(dir, pid int, f *record.CrossFinding) {
	type told struct {
		stat, cmdline, exe []byte
	}
	got := make(chan told, 1)
	own, err := unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 0) // it may hang longer than we live
	if err != nil {
		return
	}
	go func() {
		defer unix.Close(own)
		base := strconv.Itoa(pid)
		t := told{stat: text(own, base+"/stat"), cmdline: text(own, base+"/cmdline")}
		link := make([]byte, unix.PathMax)
		if n, err := unix.Readlinkat(own, base+"/exe", link); err == nil {
			t.exe = link[:n]
		}
		got <- t
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-late.C:
		f.Detail = "it does not answer"
	case t := <-got:
		if st, err := procfs.ParseStat(t.stat); err == nil {
			f.PPID, f.StartTicks = st.PPID, st.StartTicks
			f.Comm, f.CommRaw = record.Text(st.Comm)
		}
		f.Args, f.CmdlineRaw = procfs.Cmdline(t.cmdline)
		f.Exe, f.ExeRaw = record.Text(t.exe)
	}
}

// text reads a file below an open folder; nil when it cannot be read.
func text(dir int, name string) []byte {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return nil
	}
	return b
}
