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
// of some dozens of descriptors each; 100 000 of them take about 0.2 s. Of a process with more
// than descriptorsMax the others are looked at when all processes had their turn.
const (
	processesMax   = 16384
	descriptorsMax = 4096
	totalMax       = 200000 // descriptors
	batch          = 512
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
		if ok, _ := f.holds(pid, name, totalMax, &left); ok {
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
	look := make([]int, 0, len(names))
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil && pid > 0 {
			look = append(look, pid)
		}
	}
	for _, most := range [...]int{descriptorsMax, totalMax} {
		var again []int
		for _, pid := range look {
			if ctx.Err() != nil || left <= 0 {
				return pids, true, nil
			}
			ok, more := f.holds(pid, name, most, &left)
			if ok {
				pids = append(pids, pid)
			}
			if more {
				again = append(again, pid)
			}
		}
		if look = again; len(pids) > 0 {
			break // what was not looked at is of no matter once it is found
		}
	}
	cut = len(pids) == 0 && (cut || len(look) > 0)
	slices.Sort(pids)
	if len(pids) > holdersMax {
		pids, cut = pids[:holdersMax], true
	}
	f.last[name] = pids
	return pids, cut, nil
}

// holds reports whether a process has a descriptor of the TUN device name, and whether there
// are more than were looked at. A process that is gone, or of which nothing may be read, has
// none.
func (f *Finder) holds(pid int, name string, most int, left *int) (yes, more bool) {
	dir := filepath.Join(f.cfg.Proc, strconv.Itoa(pid))
	more = f.descriptors(pid, most, left, func(fd, to string) bool {
		yes = strings.HasSuffix(to, "/net/tun") && f.readHold(filepath.Join(dir, "fdinfo", fd)) == name
		return !yes
	})
	return yes, more
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
	left := totalMax
	more = f.descriptors(pid, totalMax, &left, func(_, to string) bool {
		if n, ok := parseSocketLink(to); ok {
			inodes = append(inodes, n)
		}
		return true
	})
	return inodes, more
}

// descriptors calls fn with about the first most descriptors of a process and what they are,
// until fn wants no more or none are left to be looked at. It reports whether there may be more.
func (f *Finder) descriptors(pid, most int, left *int, fn func(fd, to string) bool) (more bool) {
	dir := filepath.Join(f.cfg.Proc, strconv.Itoa(pid), "fd")
	d, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = d.Close() }()
	for n := 0; n < most && *left > 0; n += batch {
		fds, err := d.Readdirnames(batch)
		*left -= len(fds)
		for _, fd := range fds {
			if to, err := os.Readlink(filepath.Join(dir, fd)); err == nil && !fn(fd, to) {
				return false
			}
		}
		if err != nil {
			return false
		}
	}
	return true
}

// command is the name of a process (comm), empty if it is gone.
func (f *Finder) command(pid int) string {
	b, err := os.ReadFile(filepath.Join(f.cfg.Proc, strconv.Itoa(pid), "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b[:min(len(b), 64)]))
}
