package crossview

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"

	"hozen/agent/internal/probe/procfs"
)

// without returns what is in a and in none of the others; all are sorted.
func without[T int | uint64](a []T, others ...[]T) (rest []T) {
next:
	for _, x := range a {
		for _, b := range others {
			if _, found := slices.BinarySearch(b, x); found {
				continue next
			}
		}
		rest = append(rest, x)
	}
	return rest
}

// both returns what is in a and in b; both are sorted.
func both[T int | uint64](a, b []T) (common []T) {
	for _, x := range a {
		if _, found := slices.BinarySearch(b, x); found {
			common = append(common, x)
		}
	}
	return common
}

// inodes reads the numbers in a column of a table of /proc/net, whose first line is a
// heading. Zeros, which are sockets that nobody holds, are left out. bad is how many lines
// have no number there.
func inodes(r io.Reader, column int) (list []uint64, bad int, err error) {
	lines := bufio.NewReaderSize(r, 16<<10)
	first := true
	for {
		line, err := lines.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull) // a name of a socket; the number stands before it
		if !first && len(bytes.TrimSpace(line)) > 0 {
			if v, ok := procfs.Number(fieldOf(line, column)); !ok {
				bad++
			} else if v != 0 {
				list = append(list, v)
			}
		}
		first = false
		for long {
			_, err = lines.ReadSlice('\n')
			long = errors.Is(err, bufio.ErrBufferFull)
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(list)
			return slices.Compact(list), bad, nil
		}
		if err != nil {
			return list, bad, err
		}
	}
}

// fieldOf returns the blank-separated word of a line, counted from 0.
func fieldOf(line []byte, column int) (w []byte) {
	for range column + 1 {
		w, line = procfs.Word(line)
	}
	return w
}

// moduleNames reads /proc/modules (proc_modules(5)).
func moduleNames(b []byte) (names []string) {
	for line := range procfs.Lines(b) {
		if w, _ := procfs.Word(line); len(w) > 0 {
			names = append(names, string(w))
		}
	}
	slices.Sort(names)
	return names
}

// leavesOut reports whether the /proc of a text of mountinfo shows processes only to who may
// trace them.
func leavesOut(b []byte) (leaves bool) {
	for len(b) > 0 {
		var line []byte
		line, b = procfs.Line(b)
		m, ok := procfs.ParseMount(line)
		if !ok || string(m.Point) != "/proc" || string(m.FSType) != "proc" {
			continue
		}
		_, how, hides := bytes.Cut(m.SuperOptions, []byte("hidepid="))
		leaves = hides && len(how) > 0 && (how[0] == '2' || how[0] == '4' || how[0] == 'i' || how[0] == 'p') // invisible, ptraceable; of several mounts the last is on top
	}
	return leaves
}

// covering is a mount over a part of /proc.
type covering struct {
	pid            int // 0 when it is not the folder of a process
	point, root    []byte
	fsType, source []byte
}

// coverings finds, in a text of mountinfo, what is mounted over folders of processes and
// over the parts of /proc that tools read which look for processes, sockets and modules.
// Other parts are covered in every container.
func coverings(b []byte) (list []covering) {
	for line := range procfs.Lines(b) {
		m, ok := procfs.ParseMount(line)
		if !ok {
			continue
		}
		rest, below := bytes.CutPrefix(m.Point, []byte("/proc/"))
		if !below {
			continue
		}
		name, _, _ := bytes.Cut(rest, []byte{'/'})
		c := covering{point: m.Point, root: m.Root, fsType: m.FSType, source: m.Source}
		if pid, ok := procfs.PID(name); ok {
			c.pid = pid
		} else if !slices.Contains([]string{"net", "modules", "kallsyms", "locks", "self", "thread-self", "mounts"}, string(name)) {
			continue
		}
		list = append(list, c)
	}
	return list
}
