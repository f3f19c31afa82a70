package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The bounds of one look for who holds a device. A workstation has some hundred processes
// of some dozens of descriptors each; 100 000 of them take about 0.2 s.
const (
	processesMax   = 16384
	descriptorsMax = 4096 // of one process
	totalMax       = 200000
	holdersMax     = 4
)

// holders returns the processes that hold the TUN device name, the oldest first. Those
// that held it when it was last looked for are asked first; everybody is asked only if
// none of them does any more.
func (f *Finder) holders(ctx context.Context, name string) (pids []int, cut bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := totalMax
	for _, pid := range f.last[name] {
		if ok, _ := f.holds(pid, name, &left); ok {
			pids = append(pids, pid)
		}
	}
	if len(pids) > 0 {
		f.last[name] = pids
		return pids, false, nil
	}
	clear(f.last) // devices come and go; few are remembered
	d, err := os.Open(f.cfg.Proc)
	if err != nil {
		return nil, false, fmt.Errorf("list processes: %w", err)
	}
	names, err := d.Readdirnames(processesMax)
	_ = d.Close()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, fmt.Errorf("list processes: %w", err)
	}
	cut = len(names) == processesMax
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil || pid <= 0 {
			continue
		}
		if ctx.Err() != nil || left <= 0 {
			return pids, true, nil
		}
		ok, more := f.holds(pid, name, &left)
		cut = cut || more
		if ok {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	cut = cut && len(pids) == 0 // what was not looked at is of no matter once it is found
	if len(pids) > holdersMax {
		pids, cut = pids[:holdersMax], true
	}
	f.last[name] = pids
	return pids, cut, nil
}

// holds reports whether a process has a descriptor of the TUN device name. A process
// that is gone, or of which nothing may be read, has none.
func (f *Finder) holds(pid int, name string, left *int) (yes, more bool) {
	fds, more := f.descriptors(pid)
	*left -= len(fds)
	dir := filepath.Join(f.cfg.Proc, strconv.Itoa(pid))
	for _, fd := range fds {
		to, err := os.Readlink(filepath.Join(dir, "fd", fd))
		if err != nil || !strings.HasSuffix(to, "/net/tun") {
			continue
		}
		if f.readHold(filepath.Join(dir, "fdinfo", fd)) == name {
			return true, more
		}
	}
	return false, more
}

func (f *Finder) readHold(path string) string {
	r, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, 4096))
	if err != nil {
		return ""
	}
	return parseHolds(b)
}

// sockets returns the inodes of a process's sockets.
func (f *Finder) sockets(pid int) (inodes []uint32, more bool) {
	fds, more := f.descriptors(pid)
	for _, fd := range fds {
		to, err := os.Readlink(filepath.Join(f.cfg.Proc, strconv.Itoa(pid), "fd", fd))
		if n, ok := parseSocketLink(to); err == nil && ok {
			inodes = append(inodes, n)
		}
	}
	return inodes, more
}

func (f *Finder) descriptors(pid int) (fds []string, more bool) {
	d, err := os.Open(filepath.Join(f.cfg.Proc, strconv.Itoa(pid), "fd"))
	if err != nil {
		return nil, false
	}
	defer func() { _ = d.Close() }()
	fds, _ = d.Readdirnames(descriptorsMax)
	return fds, len(fds) == descriptorsMax
}

// command is the name of a process (comm), empty if it is gone.
func (f *Finder) command(pid int) string {
	b, err := os.ReadFile(filepath.Join(f.cfg.Proc, strconv.Itoa(pid), "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b[:min(len(b), 64)]))
}
