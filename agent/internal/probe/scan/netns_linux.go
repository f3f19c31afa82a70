package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

// netState is the sockets of all namespaces, without owners.
type netState struct {
	own    namespace
	others []*namespace // by inode
	// unknown counts processes whose namespace could not be told.
	unknown int64
}

// namespace is one network namespace and what was read of it.
type namespace struct {
	inode uint64
	path  string // below /proc: "self" or a process that lives in it
	conn  *sockdiag.Conn
	socks []record.Socket
	done  bool
	err   error // why it is not whole
}

// entered is how many processes of a namespace are tried as its door: one may have
// ended since it was listed.
const entered = 4

func ownNamespace() uint64 {
	link, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return 0
	}
	return procfs.NSInode([]byte(link))
}

// dump reads all socket tables of the namespace, unless that is done.
func (n *namespace) dump(ctx context.Context, proc int) {
	if n.done {
		return
	}
	if n.conn == nil {
		c, err := sockdiag.Dial()
		if err != nil {
			n.err = err
			return
		}
		n.conn = c
	}
	n.err = nil
	socks := n.socks[:0]
	if socks == nil {
		socks = make([]record.Socket, 0, 256)
	}
	for _, r := range [...]sockdiag.Request{
		sockdiag.TCP, sockdiag.TCP6, sockdiag.UDP, sockdiag.UDP6,
		sockdiag.Raw, sockdiag.Raw6, sockdiag.Packet, sockdiag.Unix,
	} {
		var err error
		from := len(socks)
		socks, err = n.conn.Append(ctx, socks, r)
		if errors.Is(err, errors.ErrUnsupported) { // this kernel's diag lacks it
			socks, err = n.fromText(proc, socks[:from], r, err)
		}
		if err != nil {
			n.err = errors.Join(n.err, err)
		}
	}
	n.socks = socks
	n.name(ctx)
	if n.done = ctx.Err() == nil; n.done {
		n.conn.Close()
		n.conn = nil
	}
}

// fromText reads a table of /proc/PID/net in place of one that sock_diag does not have.
func (n *namespace) fromText(proc int, socks []record.Socket, r sockdiag.Request, why error) ([]record.Socket, error) {
	parse := procfs.ParseRaw
	switch r {
	case sockdiag.Raw, sockdiag.Raw6:
	case sockdiag.Packet:
		parse = procfs.ParsePacket
	default:
		return socks, why // tcp, udp and unix are everywhere; their texts are not exact
	}
	b, e := newWorker().file(proc, n.path+"/net/"+r.String()+"\x00")
	if e == unix.ENOENT {
		return socks, nil // a kernel without this family has no such sockets
	}
	if e != 0 {
		return socks, fmt.Errorf("read %s sockets of namespace %d: %w", r, n.inode, e)
	}
	more, bad := parse(b)
	if bad > 0 {
		why = fmt.Errorf("read %s sockets of namespace %d: %d lines not understood", r, n.inode, bad)
	} else {
		why = nil
	}
	return append(socks, more...), why
}

// name fills in the namespace and the names of interfaces.
func (n *namespace) name(ctx context.Context) {
	var ifaces map[uint32]string
	for i := range n.socks {
		s := &n.socks[i]
		s.NetNS = n.inode
		if s.IfIndex == 0 {
			continue
		}
		if ifaces == nil {
			ifaces, _ = n.conn.Interfaces(ctx) // the numbers stand for themselves
			if ifaces == nil {
				return
			}
		}
		s.Iface = ifaces[s.IfIndex]
	}
}

// otherNamespaces finds the namespaces that processes live in and dumps those that
// are not dumped yet.
func (p *Pass) otherNamespaces(ctx context.Context) {
	s := &p.state
	doors := make(map[uint64][]int)
	s.nets.unknown = 0
	for _, r := range s.all {
		switch {
		case r.KernelOnly || r.NetNS == s.nets.own.inode:
		case r.NetNS != 0:
			if d := doors[r.NetNS]; len(d) < entered {
				doors[r.NetNS] = append(d, r.PID)
			}
		case slices.Contains(r.Unread, "ns_net"):
			s.nets.unknown++
		}
	}
	for _, n := range s.nets.others {
		delete(doors, n.inode)
	}
	proc := int(s.proc.Fd())
	if len(doors) > 0 {
		added := make([]*namespace, 0, len(doors))
		for _, inode := range sorted(doors) {
			added = append(added, &namespace{inode: inode})
		}
		visit(ctx, proc, added, doors)
		for _, n := range added {
			if n.conn != nil || ctx.Err() == nil { // the others are tried again
				s.nets.others = append(s.nets.others, n)
			}
		}
	}
	for _, n := range s.nets.others {
		if ctx.Err() != nil {
			return
		}
		if n.conn != nil {
			n.dump(ctx, proc)
		}
	}
}

// visit opens a connection to the kernel in each namespace. Only the sockets are made
// there, on a thread of its own: a socket stays in the namespace it was made in.
func visit(ctx context.Context, proc int, list []*namespace, doors map[uint64][]int) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			for _, n := range list {
				n.err = fmt.Errorf("enter network namespace %d: %w", n.inode, err)
			}
			runtime.UnlockOSThread()
			return
		}
		defer home.Close()
		for _, n := range list {
			for _, pid := range doors[n.inode] {
				if n.enter(ctx, proc, pid) {
					break
				}
			}
		}
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil && anyEntered(list) {
			return // still locked: the thread ends with this goroutine and serves nobody else
		}
		runtime.UnlockOSThread()
	}()
	<-done
}

func anyEntered(list []*namespace) bool {
	for _, n := range list {
		if n.conn != nil {
			return true
		}
	}
	return false
}

// enter makes n's connection through the door of one process.
func (n *namespace) enter(ctx context.Context, proc, pid int) bool {
	if err := ctx.Err(); err != nil {
		n.err = fmt.Errorf("enter network namespace %d: %w", n.inode, err)
		return false
	}
	n.path = strconv.Itoa(pid)
	fd, e := openat(proc, []byte(n.path+"/ns/net\x00"), unix.O_RDONLY)
	if e != 0 {
		n.err = fmt.Errorf("enter network namespace %d: %w", n.inode, e)
		return false
	}
	defer closeFD(fd)
	var st unix.Stat_t
	if e := fstat(fd, &st); e != 0 || st.Ino != n.inode {
		n.err = fmt.Errorf("enter network namespace %d: process %d has left it", n.inode, pid)
		return false
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		n.err = fmt.Errorf("enter network namespace %d: %w", n.inode, err)
		return false
	}
	n.conn, n.err = sockdiag.Dial()
	return n.err == nil
}
