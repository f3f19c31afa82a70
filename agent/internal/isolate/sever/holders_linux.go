package sever

import (
	"bytes"
	"context"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/procfs"
)

const (
	// holdersLimit is how long is looked for the processes: the network is cut by now, but
	// who waits for the answer to the order waits.
	holdersLimit = 250 * time.Millisecond
	// processesMax bounds the look besides. Of a process with more than descriptorsMax the
	// others are looked at when all processes had their turn.
	processesMax   = 16384
	descriptorsMax = 4096
	batch          = 512
)

// holders names the process that has each socket, by the inodes behind its descriptors
// (proc_pid_fd(5)). Of several it is the one with the lowest number, or one of those that need
// not look far for it.
func (k *Kernel) holders(ctx context.Context, found []socket, limit time.Duration) {
	want := map[uint32]*socket{}
	for i := range found {
		if s := &found[i]; s.Inode != 0 {
			want[s.Inode] = s
		}
	}
	if len(want) == 0 {
		return
	}
	end := time.Now().Add(limit)
	over := func() bool { return len(want) == 0 || ctx.Err() != nil || time.Now().After(end) }
	pids := k.processes()
	for _, most := range [...]int{descriptorsMax, math.MaxInt} {
		var more []int
		for _, pid := range pids {
			if over() {
				return
			}
			var has *socket // the first one of this process
			if k.sockets(pid, most, over, func(inode uint32) {
				s := want[inode]
				switch delete(want, inode); {
				case s == nil:
				case has == nil:
					has = s
					k.describe(pid, s)
				default:
					s.PID, s.Process, s.StartTicks, s.Started = has.PID, has.Process, has.StartTicks, has.Started
				}
			}) {
				more = append(more, pid)
			}
		}
		pids = more
	}
}

// processes lists the numbers of all processes, the lowest first.
func (k *Kernel) processes() (pids []int) {
	for _, n := range entries(k.cfg.Proc, processesMax) {
		if pid, err := strconv.Atoi(n); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// sockets calls fn with the inode of every socket among about the first most descriptors of a
// process, until it is over. It reports whether the process may have more.
func (k *Kernel) sockets(pid, most int, over func() bool, fn func(inode uint32)) (more bool) {
	dir := k.cfg.Proc + "/" + strconv.Itoa(pid) + "/fd"
	var to [32]byte // longer ones are no sockets
	d, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = d.Close() }()
	for n := 0; n < most; n += batch {
		names, err := d.Readdirnames(batch)
		for _, fd := range names {
			if n, err := unix.Readlink(dir+"/"+fd, to[:]); err == nil {
				if inode, ok := parseLink(to[:n]); ok {
					fn(inode)
				}
			}
		}
		if err != nil || over() {
			return false
		}
	}
	return true
}

// describe notes name and start of a process.
func (k *Kernel) describe(pid int, s *socket) {
	s.PID = uint32(pid)
	b, err := os.ReadFile(k.cfg.Proc + "/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return
	}
	st, err := procfs.ParseStat(b)
	if err != nil {
		return
	}
	s.Process, s.StartTicks = string(bytes.ToValidUTF8(st.Comm, []byte("?"))), st.StartTicks
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) == nil {
		ran := time.Duration(up.Nano()) - time.Duration(st.StartTicks)*(time.Second/procfs.TicksPerSecond)
		s.Started = time.Now().UTC().Add(-ran).Truncate(time.Second / procfs.TicksPerSecond)
	}
}

// entries lists at most n names of a folder, none of one that cannot be read.
func entries(dir string, n int) []string {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer func() { _ = d.Close() }()
	names, _ := d.Readdirnames(n) // what was read until an error
	return names
}
