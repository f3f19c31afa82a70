//go:build linux

package nft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// space is a network namespace, with a descriptor by which it is entered.
type space struct {
	file  *os.File
	inode uint64
	who   string // by whom it was found, such as `process 4711 "sh"`
	ours  bool   // by us alone
	// foreign means that it belongs to another user namespace than ours does and than the
	// machine's first one: whoever made that may do in it what he likes.
	foreign bool
}

// again is another descriptor of it.
func (s space) again() (*os.File, error) {
	fd, err := unix.FcntlInt(s.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("keep a network namespace: %w", err)
	}
	return os.NewFile(uintptr(fd), s.file.Name()), nil
}

// search finds network namespaces.
type search struct {
	found []space
	links map[string]bool // what /proc calls those that were found
	own   uint64          // inode of the user namespace that owns ours
	users int             // how many of those that were found are foreign
	// unseen is how many were left out, because there are too many.
	unseen int
}

// The bounds of a search. A workstation has some hundred processes.
const (
	spacesMax      = 1024 // that are not foreign
	foreignMax     = 256
	processesMax   = 16384
	descriptorsMax = 200000 // of all processes together
	oneProcessMax  = 10000  // of them of one, so that none keeps us from the others
)

// pinned are where programs keep namespaces that need no process.
var pinned = [...]string{"/run/netns", "/run/docker/netns"}

// shallow finds those of processes, and those that are pinned where it is usual or where
// we see the mount.
func (s *search) shallow(ctx context.Context) {
	for _, dir := range pinned {
		for _, name := range names(dir, spacesMax) {
			s.open(dir+"/"+name, dir+"/"+name, "")
		}
	}
	for _, pid := range processes(ctx) {
		s.link("/proc/"+pid+"/ns/net", pid)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	for _, m := range parseMounts(string(mounts)) {
		if !s.links[m.link] {
			s.open(m.path, m.path, m.link)
		}
	}
}

// mount is a network namespace that is mounted at a path.
type mount struct{ link, path string }

// parseMounts finds the network namespaces in /proc/self/mountinfo
// (proc_pid_mountinfo(5)).
func parseMounts(text string) (ms []mount) {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(text) {
		if fs := strings.Fields(line); len(fs) > 4 && strings.HasPrefix(fs[3], "net:[") {
			ms = append(ms, mount{fs[3], unescape.Replace(fs[4])})
		}
	}
	return ms
}

// deep finds those of single threads too, and those that only a descriptor keeps. It
// reports whether it looked everywhere, but for what one process alone has too many of.
func (s *search) deep(ctx context.Context) (whole bool) {
	left, self := descriptorsMax, strconv.Itoa(os.Getpid())
	for _, pid := range processes(ctx) {
		if pid == self {
			continue // ours are no sign that anybody else has one
		}
		tasks, fds := names("/proc/"+pid+"/task", min(left, oneProcessMax)), names("/proc/"+pid+"/fd", min(left, oneProcessMax))
		for _, t := range tasks {
			s.link("/proc/"+pid+"/task/"+t+"/ns/net", pid)
		}
		for _, fd := range fds {
			s.link("/proc/"+pid+"/fd/"+fd, pid)
		}
		if left -= len(tasks) + len(fds); left <= 0 || ctx.Err() != nil {
			return false
		}
	}
	return true
}

// link adds what a link in /proc points to, if that is a network namespace.
func (s *search) link(path, pid string) {
	to, err := os.Readlink(path)
	if err != nil || !strings.HasPrefix(to, "net:[") || s.links[to] {
		return
	}
	s.open(path, "process "+pid, to)
}

func (s *search) open(path, who, link string) {
	f, inode, err := openSpace(path)
	if err != nil {
		return
	}
	if link == "" {
		link = fmt.Sprintf("net:[%d]", inode)
	}
	if s.links[link] {
		_ = f.Close()
		return
	}
	if pid, ok := strings.CutPrefix(who, "process "); ok {
		if comm, err := os.ReadFile("/proc/" + pid + "/comm"); err == nil {
			who += fmt.Sprintf(" (%.16q)", strings.TrimSpace(string(comm)))
		}
	}
	s.add(space{file: f, inode: inode, who: who}, link)
}

func (s *search) add(one space, link string) {
	if s.links == nil {
		s.links = map[string]bool{}
	}
	s.links[link] = true
	i := slices.IndexFunc(s.found, func(o space) bool { return o.inode == one.inode })
	if i >= 0 {
		_ = one.file.Close()
		s.found[i].ours = s.found[i].ours && one.ours
		return
	}
	owner := ownerOf(int(one.file.Fd()))
	one.foreign = owner != 0 && owner != s.own && owner != firstUsers
	if one.foreign && s.users >= foreignMax || !one.foreign && len(s.found)-s.users >= spacesMax {
		_ = one.file.Close()
		s.unseen++
		return
	}
	if one.foreign {
		s.users++
	}
	s.found = append(s.found, one)
}

// keep adds one that we hold, whatever the bounds. It is no sign that anybody else does.
func (s *search) keep(one space) {
	if slices.ContainsFunc(s.found, func(o space) bool { return o.inode == one.inode }) {
		return
	}
	if file, err := one.again(); err == nil {
		one.file, one.ours = file, true
		s.found = append(s.found, one)
		if one.foreign {
			s.users++
		}
	}
}

// others reports whether somebody else has it.
func (s *search) others(inode uint64) bool {
	return slices.ContainsFunc(s.found, func(o space) bool { return o.inode == inode && !o.ours })
}

func (s *search) close() {
	for _, o := range s.found {
		_ = o.file.Close()
	}
	s.found = nil
}

func processes(ctx context.Context) []string {
	if ctx.Err() != nil {
		return nil
	}
	return slices.DeleteFunc(names("/proc", processesMax), func(n string) bool { return n[0] < '1' || n[0] > '9' })
}

// names lists at most n entries of a folder, none of one that is not there.
func names(dir string, n int) []string {
	d, err := os.Open(dir)
	if err != nil || n <= 0 {
		return nil
	}
	defer func() { _ = d.Close() }()
	list, err := d.Readdirnames(n)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return list
}

// nsGetNSType asks a descriptor of a namespace for its kind (NS_GET_NSTYPE, ioctl_nsfs(2)).
const nsGetNSType = 0xb703

// nsGetUserNS asks it for the user namespace that owns it (NS_GET_USERNS, since Linux 4.9).
const nsGetUserNS = 0xb701

// firstUsers is the inode of the machine's first user namespace, on every kernel since 3.8
// (PROC_USER_INIT_INO in include/linux/proc_ns.h).
const firstUsers = 0xEFFFFFFD

// ownerOf is the inode of the user namespace that owns another namespace, 0 if that is not
// known: it is above ours, or the kernel does not tell.
func ownerOf(fd int) uint64 {
	users, err := unix.IoctlRetInt(fd, nsGetUserNS)
	if err != nil {
		return 0
	}
	defer func() { _ = unix.Close(users) }()
	var st unix.Stat_t
	if unix.Fstat(users, &st) != nil {
		return 0
	}
	return st.Ino
}

// openSpace opens a network namespace, and nothing that only has the place of one.
func openSpace(path string) (*os.File, uint64, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("open network namespace: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	kind, err := unix.IoctlRetInt(fd, nsGetNSType)
	if err == nil && kind != unix.CLONE_NEWNET {
		err = unix.EINVAL
	}
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, fmt.Errorf("open network namespace: %w", err)
	}
	return f, st.Ino, nil
}
