package main

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// limit is the limit reader: the reads of the probes process, netconn and openfile
// and nothing else. What it reads it keeps, one after the other, because a capture
// without a result is none; it looks at no byte that it need not.
type limit struct {
	workers []*reader
	socks   []byte
	buf     []byte
	// common leaves out what the foreign program does not read, to be compared with it.
	common bool
	// volatile adds the reads of the probes procenv, procmap and exehash.
	volatile bool
}

// reader owns the buffers of one goroutine.
type reader struct {
	buf, dents, out, path []byte
	chunk                 []byte // for hashing
	fds                   int
	exes                  []exe
}

// exe is an executable and a process that runs it.
type exe struct {
	dev, inode uint64
	pid        []byte
}

func newLimit(workers int, common bool) *limit {
	l := &limit{buf: make([]byte, 1<<20), common: common}
	for range workers {
		l.workers = append(l.workers, &reader{buf: make([]byte, 64<<10), dents: make([]byte, 64<<10), out: make([]byte, 0, 4<<20)})
	}
	return l
}

// read makes one pass and returns how many processes and descriptors it saw.
func (l *limit) read() (procs, fds int) {
	proc := open(unix.AT_FDCWD, []byte("/proc\x00"), unix.O_DIRECTORY)
	defer closeFD(proc)
	var pids [][]byte
	dents := make([]byte, 64<<10)
	for {
		n := getdents(proc, dents)
		if n <= 0 {
			break
		}
		entries(dents[:n], func(name []byte) {
			if name[0] >= '0' && name[0] <= '9' {
				pids = append(pids, append([]byte(nil), name[:len(name)-1]...))
			}
		})
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, r := range l.workers {
		r.out, r.fds, r.exes = r.out[:0], 0, r.exes[:0]
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(pids)); i = next.Add(1) - 1 {
				r.process(proc, pids[i], l.common)
				if l.volatile {
					r.more(proc, pids[i])
				}
			}
		})
	}
	l.sockets(proc)
	wg.Wait()
	for _, r := range l.workers {
		fds += r.fds
	}
	if l.volatile {
		l.hash(proc)
	}
	return len(pids), fds
}

// more reads the environment, the memory map and which file the process runs.
func (r *reader) more(proc int, pid []byte) {
	r.file(proc, pid, "/environ")
	r.whole(proc, pid, "/maps")
	var st unix.Stat_t
	if fstatat(proc, r.join(pid, "/exe"), &st) == nil {
		r.exes = append(r.exes, exe{st.Dev, st.Ino, pid})
	}
}

// hash hashes every executable once.
func (l *limit) hash(proc int) {
	seen := make(map[[2]uint64]bool)
	var list []exe
	for _, r := range l.workers {
		for _, x := range r.exes {
			if k := [2]uint64{x.dev, x.inode}; !seen[k] {
				seen[k] = true
				list = append(list, x)
			}
		}
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, r := range l.workers {
		wg.Go(func() {
			if r.chunk == nil {
				r.chunk = make([]byte, 256<<10)
			}
			for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
				fd := open(proc, r.join(list[i].pid, "/exe"), 0)
				if fd < 0 {
					continue
				}
				sum := sha256.New()
				for n := read(fd, r.chunk); n > 0; n = read(fd, r.chunk) {
					sum.Write(r.chunk[:n])
				}
				closeFD(fd)
				r.keep(sum.Sum(nil))
			}
		})
	}
	wg.Wait()
}

func (r *reader) process(proc int, pid []byte, common bool) {
	for _, name := range [...]string{"/stat", "/status", "/cmdline"} {
		r.file(proc, pid, name)
	}
	r.link(proc, pid, "/exe")
	if !common {
		r.file(proc, pid, "/cgroup")
		for _, name := range [...]string{"/cwd", "/ns/net", "/ns/pid", "/ns/mnt", "/ns/user"} {
			r.link(proc, pid, name)
		}
	}
	dir := open(proc, r.join(pid, "/fd"), unix.O_DIRECTORY)
	if dir < 0 {
		return
	}
	for {
		n := getdents(dir, r.dents)
		if n <= 0 {
			break
		}
		entries(r.dents[:n], func(name []byte) {
			if name[0] == '.' {
				return
			}
			r.fds++
			if n := readlink(dir, name, r.buf); n > 0 {
				r.keep(r.buf[:n])
			}
		})
	}
	closeFD(dir)
}

func (r *reader) join(pid []byte, name string) []byte {
	r.path = append(append(append(r.path[:0], pid...), name...), 0)
	return r.path
}

func (r *reader) keep(b []byte) {
	r.out = binary.AppendUvarint(r.out, uint64(len(b)))
	r.out = append(r.out, b...)
}

func (r *reader) file(proc int, pid []byte, name string) {
	fd := open(proc, r.join(pid, name), 0)
	if fd < 0 {
		return
	}
	for {
		n := read(fd, r.buf)
		if n > 0 {
			r.keep(r.buf[:n])
		}
		if n < len(r.buf) {
			break
		}
	}
	closeFD(fd)
}

// whole is file for a text that comes in pieces: it ends where nothing more comes.
func (r *reader) whole(proc int, pid []byte, name string) {
	fd := open(proc, r.join(pid, name), 0)
	if fd < 0 {
		return
	}
	for n := read(fd, r.buf); n > 0; n = read(fd, r.buf) {
		r.keep(r.buf[:n])
	}
	closeFD(fd)
}

func (r *reader) link(proc int, pid []byte, name string) {
	if n := readlink(proc, r.join(pid, name), r.buf); n > 0 {
		r.keep(r.buf[:n])
	}
}

// sockets dumps the socket tables and, unless common, the texts that stand in for
// those that this kernel does not dump.
func (l *limit) sockets(proc int) {
	l.socks = l.socks[:0]
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		l.dump(fd, inetQuestion(family, unix.IPPROTO_TCP, l.common))
		l.dump(fd, inetQuestion(family, unix.IPPROTO_UDP, l.common))
	}
	l.dump(fd, unixQuestion())
	if l.common {
		return
	}
	l.dump(fd, packetQuestion())
	r := &reader{buf: l.buf, out: l.socks}
	for _, name := range []string{"/net/raw", "/net/raw6"} {
		r.file(proc, []byte("self"), name)
	}
	for _, name := range []string{"/etc/passwd", "/etc/group"} {
		if b, err := os.ReadFile(name); err == nil {
			r.keep(b)
		}
	}
	l.socks = r.out
}

func (l *limit) dump(fd int, question []byte) {
	if err := unix.Sendto(fd, question, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return
	}
	for {
		n, _, err := unix.Recvfrom(fd, l.buf, 0)
		if err != nil || n < 16 {
			return
		}
		l.socks = append(l.socks, l.buf[:n]...)
		last := l.buf[:n]
		for len(last) >= 16 { // the last message says whether there is more
			size := int(binary.NativeEndian.Uint32(last)+3) &^ 3
			if typ := binary.NativeEndian.Uint16(last[4:]); typ == unix.NLMSG_DONE || typ == unix.NLMSG_ERROR {
				return
			}
			last = last[min(max(size, 16), len(last)):]
		}
	}
}

func question(size int) []byte {
	b := make([]byte, size)
	binary.NativeEndian.PutUint32(b, uint32(size))
	binary.NativeEndian.PutUint16(b[4:], 20) // SOCK_DIAG_BY_FAMILY
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	return b
}

// inetQuestion asks for the details of each connection too when details is set; the
// foreign program does, the probe does not.
func inetQuestion(family, proto uint8, details bool) []byte {
	b := question(16 + 56)
	b[16], b[17] = family, proto
	if details {
		b[18] = 1 << 1 // INET_DIAG_INFO
	}
	binary.NativeEndian.PutUint32(b[20:], 0xffffffff)
	return b
}

func unixQuestion() []byte {
	b := question(16 + 24)
	b[16] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(b[20:], 0xffffffff)
	binary.NativeEndian.PutUint32(b[28:], 1|4|0x10|0x40)
	return b
}

func packetQuestion() []byte {
	b := question(16 + 20)
	b[16] = unix.AF_PACKET
	binary.NativeEndian.PutUint32(b[24:], 1|0x10)
	return b
}

func open(dir int, path []byte, flags int) int {
	fd, _, e := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])), uintptr(flags|unix.O_CLOEXEC), 0, 0, 0)
	if e != 0 {
		return -1
	}
	return int(fd)
}

func fstatat(dir int, path []byte, st *unix.Stat_t) error {
	_, _, e := unix.RawSyscall6(unix.SYS_NEWFSTATAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(st)), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

func read(fd int, b []byte) int {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if e != 0 {
		return 0
	}
	return int(n)
}

func readlink(dir int, path, b []byte) int {
	n, _, e := unix.RawSyscall6(unix.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0)
	if e != 0 {
		return 0
	}
	return int(n)
}

func getdents(fd int, b []byte) int {
	n, _, e := unix.RawSyscall(unix.SYS_GETDENTS64, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if e != 0 {
		return 0
	}
	return int(n)
}

func closeFD(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// entries calls f with each name of a getdents64(2) buffer, its NUL included.
func entries(b []byte, f func(name []byte)) {
	for len(b) > 19 {
		n := int(binary.NativeEndian.Uint16(b[16:]))
		name := b[19:n]
		for i, c := range name {
			if c == 0 {
				name = name[:i+1]
				break
			}
		}
		f(name)
		b = b[n:]
	}
}
