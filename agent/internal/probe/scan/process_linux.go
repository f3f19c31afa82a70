package scan

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

// state is what a pass has read so far.
type state struct {
	proc     *os.File // /proc
	slots    []slot
	next     atomic.Int64 // of slots, for the first reading
	nextFD   atomic.Int64 // of slots, for the descriptors
	listed   bool         // slots are there
	complete bool         // no need to go on with slots
	idle     []*worker
	users    map[int64]string
	groups   map[int64]string
	bootID   string
	booted   time.Time
	all      []*record.Process
	allErr   error
	nets     netState
	cmdline  func(dir int, w *worker, limit int) ([]byte, bool, unix.Errno) // replaced in tests of hanging
}

// slot is one listed process. Workers publish through the pointers and never touch
// again what they published.
type slot struct {
	pid     int
	inode   uint64 // of /proc/PID; the same number means the same process
	core    atomic.Pointer[record.Process]
	cmdline atomic.Pointer[cmdline]
	files   atomic.Pointer[fileList]
	gone    atomic.Bool
	denied  atomic.Bool
	merged  bool
	waiting bool // for its command line, when it was merged
}

type cmdline struct {
	args   []string
	exact  []byte
	cut    bool
	unread bool
}

// processes reads everything of the first half, as far as it is not read yet.
func (p *Pass) processes(ctx context.Context) ([]*record.Process, error) {
	s := &p.state
	if !s.complete {
		if err := p.firstHalf(ctx); err != nil {
			return s.all, err
		}
	}
	return s.all, s.allErr
}

func (p *Pass) firstHalf(ctx context.Context) error {
	s := &p.state
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.listed {
		if err := p.list(); err != nil {
			return err
		}
	}
	own := make(chan struct{})
	go func() { // the socket tables of this namespace, beside the processes
		defer close(own)
		s.nets.own.dump(ctx, int(s.proc.Fd()))
	}()
	p.each(ctx, &s.next, len(s.slots), p.readProcess)
	<-own // bound by ctx and by the patience of its sockets

	s.all = make([]*record.Process, 0, len(s.slots))
	var missing, waiting, refused int64
	for i := range s.slots {
		sl := &s.slots[i]
		r := sl.core.Load()
		if r == nil {
			if !sl.gone.Load() {
				missing++
			}
			continue
		}
		sl.merge(r)
		switch {
		case sl.waiting:
			waiting++
		case len(r.Unread) > 0:
			refused++
		}
		s.all = append(s.all, r)
	}
	s.allErr = p.processErr(ctx, missing, waiting, refused)
	p.otherNamespaces(ctx)
	s.complete = ctx.Err() == nil
	return nil
}

// merge adds the command line to the published record, once: from then on the record
// belongs to the readers of the pass.
func (sl *slot) merge(r *record.Process) {
	if sl.merged {
		return
	}
	sl.merged = true
	c := sl.cmdline.Load()
	sl.waiting = c == nil
	if c == nil || c.unread {
		r.Unread = append(r.Unread, "cmdline")
		return
	}
	r.Args, r.CmdlineRaw, r.CmdlineCut = c.args, c.exact, c.cut
}

func (p *Pass) processErr(ctx context.Context, missing, waiting, refused int64) error {
	if missing+waiting+refused == 0 {
		return ctx.Err()
	}
	return &probe.Missing{Skipped: missing + waiting + refused, Err: fmt.Errorf("read %d processes: %s: %w", len(p.state.all), told(
		lack{missing, "%d not reached"},
		lack{waiting, "%d command lines not answered"},
		lack{refused, "fields of %d refused"},
	), reason(ctx, refused))}
}

// list takes the list of processes and what does not change during the pass.
func (p *Pass) list() error {
	s := &p.state
	f, err := os.Open("/proc")
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	s.proc = f
	fd := int(f.Fd())
	buf := make([]byte, readBuffer)
	var pids []int
	for {
		n, e := getdents(fd, buf)
		if e != 0 {
			return fmt.Errorf("list processes: %w", e)
		}
		if n == 0 {
			break
		}
		names(buf[:n], func(name []byte) bool {
			if pid, ok := procfs.PID(name[:len(name)-1]); ok {
				pids = append(pids, pid)
			}
			return true
		})
	}
	slices.Sort(pids)
	pids = slices.Compact(pids)
	s.slots = make([]slot, len(pids))
	for i, pid := range pids {
		s.slots[i].pid = pid
	}
	if s.cmdline == nil {
		s.cmdline = readCmdline
	}
	s.users, s.groups = readNames(p.opt.Root, "etc/passwd"), readNames(p.opt.Root, "etc/group")
	s.bootID, s.booted = bootID(), bootTime()
	s.nets.own.inode, s.nets.own.path = ownNamespace(), "self"
	s.listed = true
	return nil
}

func readNames(root, name string) map[int64]string {
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return nil // numbers stand for themselves
	}
	return procfs.ParseNames(b)
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

// bootTime is the wall clock's reading of the moment of boot.
func bootTime() time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(ts.Nano())).Round(0).UTC()
}

// readProcess reads one process and publishes it in its slot.
func (p *Pass) readProcess(w *worker, i int) {
	sl := &p.state.slots[i]
	w.path = appendPID(w.path[:0], sl.pid)
	dir, e := openat(int(p.state.proc.Fd()), w.path, unix.O_PATH|unix.O_DIRECTORY)
	if e != 0 {
		sl.gone.Store(gone(e))
		return
	}
	defer closeFD(dir)
	var st unix.Stat_t
	if fstat(dir, &st) == 0 {
		sl.inode = st.Ino
	}
	r, e := p.core(dir, w, sl.pid)
	if e != 0 {
		sl.gone.Store(gone(e))
		return
	}
	sl.core.Store(r)
	if r.KernelOnly {
		sl.cmdline.Store(&cmdline{})
		return
	}
	raw, cut, e := p.state.cmdline(dir, w, p.opt.MaxCmdline)
	c := &cmdline{cut: cut, unread: e != 0}
	c.args, c.exact = procfs.Cmdline(raw)
	sl.cmdline.Store(c)
}

// core reads everything but the command line.
func (p *Pass) core(dir int, w *worker, pid int) (*record.Process, unix.Errno) {
	b, e := w.file(dir, "stat\x00")
	if e != 0 {
		return nil, e
	}
	st, err := procfs.ParseStat(b)
	if err != nil {
		return nil, unix.EBADMSG
	}
	s := &p.state
	r := &record.Process{
		PID: pid, PPID: st.PPID, PGID: st.PGID, SID: st.SID, StartTicks: st.StartTicks, BootID: s.bootID,
		State: stateName(st.State), TTY: procfs.TTY(st.TTY), Threads: st.Threads, KernelOnly: st.Kernel,
		RSSBytes: st.RSSPages * int64(os.Getpagesize()), CPUTicks: st.CPUTicks,
		UID: record.Unknown, EUID: record.Unknown, GID: record.Unknown, EGID: record.Unknown,
	}
	r.Comm, r.CommRaw = w.shown(st.Comm)
	if !s.booted.IsZero() {
		r.StartedAt = s.booted.Add(time.Duration(st.StartTicks) * (time.Second / procfs.TicksPerSecond))
	}
	if b, e = w.file(dir, "status\x00"); e == 0 {
		t := procfs.ParseStatus(b)
		r.UID, r.EUID, r.GID, r.EGID = t.UID, t.EUID, t.GID, t.EGID
		r.User, r.EUser, r.Group, r.EGroup = s.users[t.UID], s.users[t.EUID], s.groups[t.GID], s.groups[t.EGID]
		r.TracerPID, r.InnerPIDs, r.CapEff = t.TracerPID, t.InnerPIDs, w.text(t.CapEff)
	} else {
		r.Unread = append(r.Unread, "status")
	}
	if b, e = w.file(dir, "cgroup\x00"); e == 0 {
		r.Cgroup, r.CgroupRaw = w.shown(procfs.Cgroup(b))
		r.ContainerID, r.ContainerRuntime = procfs.Container(r.Cgroup)
	} else {
		r.Unread = append(r.Unread, "cgroup")
	}
	if !r.KernelOnly {
		p.links(dir, w, r)
	}
	return r, 0
}

// links reads where the process' links lead. That a link leads nowhere, as for a
// process that has ended and waits for its parent, is no failure.
func (p *Pass) links(dir int, w *worker, r *record.Process) {
	note := func(name string, e unix.Errno) {
		if !gone(e) {
			r.Unread = append(r.Unread, name)
		}
	}
	if b, e := w.link(dir, "exe\x00"); e == 0 {
		p.exe(dir, r, w, b)
	} else {
		note("exe", e)
	}
	if b, e := w.link(dir, "cwd\x00"); e == 0 {
		r.Cwd, r.CwdRaw = w.shown(b)
	} else {
		note("cwd", e)
	}
	for _, ns := range [...]struct {
		path, name string
		to         *uint64
	}{
		{"ns/net\x00", "ns_net", &r.NetNS}, {"ns/pid\x00", "ns_pid", &r.PIDNS},
		{"ns/mnt\x00", "ns_mnt", &r.MntNS}, {"ns/user\x00", "ns_user", &r.UserNS},
	} {
		if b, e := w.link(dir, ns.path); e == 0 {
			*ns.to = procfs.NSInode(b)
		} else {
			note(ns.name, e)
		}
	}
}

// exe understands the link to the executable. The kernel's mark for a name that is
// gone looks like a part of the name; a file without names settles it, else the
// process' own view of the path does.
func (p *Pass) exe(dir int, r *record.Process, w *worker, link []byte) {
	name, marked := procfs.CutDeleted(link)
	if marked {
		var x unix.Statx_t
		err := unix.Statx(dir, "exe", unix.AT_STATX_DONT_SYNC, unix.STATX_NLINK|unix.STATX_INO, &x)
		if err == nil && x.Nlink > 0 {
			var y unix.Statx_t
			err = unix.Statx(dir, "root"+string(link), unix.AT_STATX_DONT_SYNC, unix.STATX_INO, &y)
			marked = err != nil || x.Ino != y.Ino || x.Dev_major != y.Dev_major || x.Dev_minor != y.Dev_minor
		}
	}
	if !marked {
		name = link
	}
	r.Exe, r.ExeRaw = w.shown(name)
	r.ExeDeleted, r.ExeMemFD = marked, marked && procfs.IsMemFD(name)
}
