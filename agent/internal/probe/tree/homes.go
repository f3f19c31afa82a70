package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
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
		return b[:limit], fmt.Errorf("read /%s: longer than %d bytes", name, limit)
	}
	return b, err
}

// Homes lists the homes of people, each once, relative to the root: those in /etc/passwd
// (passwd(5)) and the folders in /home, whose owners a directory service may know. The
// error says that not all were found.
func (t *Tree) Homes() (list []string, err error) {
	seen := make(map[string]bool)
	add := func(home string) {
		if home == "" || seen[home] {
			return
		}
		if seen[home] = true; len(list) < maxHomes {
			list = append(list, home)
		} else {
			err = errors.Join(err, fmt.Errorf("only the first %d homes are looked at", maxHomes))
		}
	}
	b, err := t.Read("etc/passwd", maxPasswd)
	for line := range procfs.Lines(b) {
		add(HomeOf(line))
	}
	d, derr := t.Dir("home")
	if derr == nil {
		defer d.Close()
		var names []string
		names, _, derr = d.Names(maxHomes)
		for _, n := range names {
			if st, err := d.Stat(n); err == nil && st.IsDir() {
				add(Join("home", n))
			}
		}
	}
	if derr != nil && Why(derr) != "gone" {
		err = errors.Join(err, derr)
	}
	return list, err
}

// HomeOf finds the home in a line of passwd(5), relative to the root; "" where that is a
// folder of the system.
func HomeOf(line []byte) string {
	fields := bytes.Split(line, []byte(":"))
	if len(fields) != 7 || bytes.IndexByte(fields[5], 0) >= 0 {
		return ""
	}
	home := path.Clean("/" + string(fields[5]))
	for _, system := range []string{"/bin", "/sbin", "/usr", "/etc", "/lib", "/dev", "/proc", "/sys", "/run", "/boot", "/nonexistent", "/var/cache", "/var/run", "/var/spool", "/var/mail"} {
		if home == system || strings.HasPrefix(home, system+"/") {
			return ""
		}
	}
	return home[1:] // "" is the root itself
}
