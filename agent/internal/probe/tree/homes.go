package tree

import (
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"hozen/agent/internal/probe/procfs"
)

const (
	maxPasswd = 4 << 20
	maxHomes  = 1024
)

// Read reads a file of at most limit bytes; what is longer comes with an error.
func (t *Tree) Read(name string, limit int) ([]byte, error) {
	dir, base := Split(name)
	d, err := t.Dir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	f, err := d.Open(base)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, int64(limit)+1))
	if err == nil && len(b) > limit {
		b, err = b[:limit], At(name, ErrMany)
	}
	return b, err
}

// Homes lists the homes of people, each once, relative to the root, in their order: those in /etc/passwd
// (passwd(5)) and the folders in /home, whose owners a directory service may know. The
// error says that not all were found.
func (t *Tree) Homes() (list []string, err error) {
	b, err := t.Read("etc/passwd", maxPasswd)
	for line := range procfs.Lines(b) {
		if home := HomeOf(line); home != "" {
			list = append(list, home)
		}
	}
	d, derr := t.Dir("home")
	if derr == nil {
		defer d.Close()
		var names []string
		names, _, derr = d.Names(maxHomes)
		var st Info
		for _, n := range names {
			if d.Stat(n, &st) == nil && st.IsDir() {
				list = append(list, "home/"+n)
			}
		}
	}
	if derr != nil && Why(derr) != "gone" {
		err = errors.Join(err, derr)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if len(list) > maxHomes {
		list, err = list[:maxHomes], errors.Join(err, At("home", ErrMany))
	}
	return list, err
}

// HomeOf finds the home in a line of passwd(5), relative to the root; "" where that is a
// folder of the system.
func HomeOf(line []byte) string {
	fields := strings.Split(string(line), ":")
	if len(fields) != 7 || strings.Contains(fields[5], "\x00") {
		return ""
	}
	home := path.Clean("/" + fields[5])[1:]
	first, rest, _ := strings.Cut(home, "/")
	if OneOf(first, "bin sbin usr etc lib dev proc sys run boot nonexistent") {
		return ""
	}
	if second, _, _ := strings.Cut(rest, "/"); first == "var" && OneOf(second, "cache run spool mail") {
		return ""
	}
	return home // "" is the root itself
}
