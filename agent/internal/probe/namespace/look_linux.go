package namespace

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact/record"
)

const maxMountinfo = 4 << 20

// lives takes the rows of a walk.
type lives struct {
	list []life
	buf  []byte
}

// Write implements probe.Writer.
func (l *lives) Write(r probe.Record) error {
	l.buf = r.AppendJSON(l.buf[:0])
	ne := binary.NativeEndian
	if len(l.buf) != 8*9 {
		return errors.New("a row of another kind")
	}
	one := life{pid: int(ne.Uint64(l.buf))}
	for k := range one.ns {
		one.ns[k] = ne.Uint64(l.buf[8+8*k:])
	}
	l.list = append(l.list, one)
	return nil
}

// read appends the row of a process: its number and its namespaces by kind. What scan
// reads anyway is not read again.
func read(a *scan.At, b []byte) ([]byte, error) {
	p, ne := a.Process, binary.NativeEndian
	row := life{pid: p.PID, ns: [8]uint64{2: p.MntNS, 3: p.NetNS, 4: p.PIDNS, 6: p.UserNS}}
	for k, kind := range kinds() {
		if row.ns[k] != 0 {
			continue
		}
		link, err := a.Link("ns/" + kind)
		if errors.Is(err, unix.ENOENT) { // an older kernel, or a process that ends
			continue
		}
		if err != nil {
			return b, err
		}
		row.ns[k] = procfs.NSInode(link)
	}
	b = ne.AppendUint64(b, uint64(row.pid))
	for _, inode := range row.ns {
		b = ne.AppendUint64(b, inode)
	}
	return b, nil
}

// own marks the namespaces of the agent, and adds those that are mounted where it lives.
func own(t *table) {
	for _, kind := range kinds() {
		link, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			continue
		}
		if inode := procfs.NSInode([]byte(link)); inode != 0 {
			t.get(kind, inode).Own = true
		}
	}
	b, problem, err := text("/proc/self/mountinfo")
	if err != nil {
		return
	}
	t.mounted(b)
	for _, n := range t.at {
		if problem != "" && n.Own && n.Kind == "mnt" {
			n.Problem = problem
		}
	}
}

// look adds what one of its members shows of a namespace.
func look(n *record.Namespace) {
	for _, pid := range n.PIDs[:min(len(n.PIDs), doors)] {
		base := "/proc/" + strconv.FormatInt(pid, 10)
		fd, err := unix.Open(base+"/ns/"+n.Kind, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			n.Problem = err.Error()
			continue
		}
		same := inodeOf(fd) == n.Inode
		if same {
			n.Problem = ""
			relations(fd, n)
		}
		unix.Close(fd)
		if !same { // it left, or another process has its number now
			n.Problem = "its members left it"
			continue
		}
		if n.Kind != "mnt" {
			return
		}
		b, problem, err := text(base + "/mountinfo")
		if err != nil {
			n.Problem = err.Error()
			continue
		}
		n.Problem = problem
		root(b, n)
		return
	}
}

func inodeOf(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}

// relations asks whose rights count in a namespace and what is around it (ioctl_ns(2)).
// What lies outside the agent's own user or PID namespace is not told.
func relations(fd int, n *record.Namespace) {
	other := func(request uint) uint64 {
		got, err := unix.IoctlRetInt(fd, request)
		if err != nil {
			return 0
		}
		defer unix.Close(got)
		return inodeOf(got)
	}
	n.Owner = other(unix.NS_GET_USERNS)
	if n.Kind == "pid" || n.Kind == "user" {
		n.Parent = other(unix.NS_GET_PARENT)
	}
	if n.Kind == "user" {
		if uid, err := unix.IoctlGetUint32(fd, unix.NS_GET_OWNER_UID); err == nil {
			n.OwnerUID = int64(uid)
		}
	}
}

// text reads a text of mountinfo; problem says that it is longer than what is read.
func text(name string) (b []byte, problem string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	if b, err = io.ReadAll(io.LimitReader(f, maxMountinfo+1)); err == nil {
		b, problem = whole(b, maxMountinfo)
	}
	return b, problem, err
}
