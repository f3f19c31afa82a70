package pkgcheck

import (
	"bytes"
	"encoding/hex"
	"path"
	"strings"

	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/probe/tree"
)

// listed is a file with the digest that its package gives.
type listed struct {
	md5  string // hexadecimal, lower case
	path string // relative to the root
}

// parseSum reads a line of a list of digests (deb-md5sums(5)): the digest, two blanks, the
// path relative to the root.
func parseSum(line []byte) (l listed, ok bool) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) < 35 || line[32] != ' ' || line[33] != ' ' && line[33] != '*' {
		return l, false
	}
	return newListed(line[:32], line[34:])
}

func newListed(md5, name []byte) (l listed, ok bool) {
	if len(md5) != 32 || bytes.IndexByte(name, 0) >= 0 {
		return l, false
	}
	if _, err := hex.Decode(make([]byte, 16), md5); err != nil {
		return l, false
	}
	p := path.Clean("/" + string(name))
	if p == "/" {
		return l, false
	}
	return listed{strings.ToLower(string(md5)), p[1:]}, true
}

// conffile is a configuration file in the status of packages.
type conffile struct {
	listed
	pkg string
}

// parseStatus calls f for the configuration files of installed packages in the text of
// /var/lib/dpkg/status (deb-status: paragraphs as in deb822(5)), and returns the packages that
// are installed.
func parseStatus(b []byte, f func(conffile)) (installed []string) {
	var pkg string
	var files []listed
	var in, here bool // the package is installed; the lines are of its configuration files
	flush := func() {
		if in && pkg != "" {
			installed = append(installed, pkg)
			for _, l := range files {
				f(conffile{l, pkg})
			}
		}
		pkg, files, in, here = "", files[:0], false, false
	}
	for line := range procfs.Lines(b) {
		if len(line) == 0 {
			flush()
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if here {
				if l, ok := parseConffile(line); ok {
					files = append(files, l)
				}
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		here = string(name) == "Conffiles"
		switch string(name) {
		case "Package":
			pkg = string(value)
		case "Status":
			in = bytes.HasSuffix(value, []byte(" installed"))
		}
	}
	flush()
	return installed
}

// parseConffile reads " /etc/x 0123…" with words behind that say that the package does not
// have it any more.
func parseConffile(line []byte) (l listed, ok bool) {
	line = bytes.TrimSpace(line)
	if bytes.HasSuffix(line, []byte(" obsolete")) || bytes.HasSuffix(line, []byte(" remove-on-upgrade")) {
		return l, false
	}
	i := bytes.LastIndexByte(line, ' ')
	if i < 0 {
		return l, false
	}
	return newListed(line[i+1:], bytes.TrimSpace(line[:i]))
}

// diversion is where a file of everybody but one package lies.
type diversion struct{ to, pkg string }

// parseDiversions reads /var/lib/dpkg/diversions: a path, where it lies, and the package
// whose own is not moved, each on a line.
func parseDiversions(b []byte) map[string]diversion {
	all := make(map[string]diversion)
	lines := strings.Split(string(b), "\n")
	for i := 0; i+2 < len(lines); i += 3 {
		from, to := path.Clean("/" + lines[i])[1:], path.Clean("/" + lines[i+1])[1:]
		if from != "" && to != "" {
			all[from] = diversion{to, lines[i+2]}
		}
	}
	return all
}

// exclusion is a rule of what is not installed.
type exclusion struct {
	pattern string
	include bool
}

// parseExclusions reads the rules in a configuration file of dpkg(1).
func parseExclusions(b []byte) (list []exclusion) {
	for _, line := range strings.Split(string(b), "\n") {
		text := strings.TrimLeft(strings.TrimSpace(line), "-")
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			name, value, ok = strings.Cut(text, " ")
		}
		name, value = strings.TrimSpace(name), strings.Trim(strings.TrimSpace(value), `"'`)
		if ok && value != "" && (name == "path-exclude" || name == "path-include") {
			list = append(list, exclusion{value, name == "path-include"})
		}
	}
	return list
}

// excluded reports whether the last rule that fits a path leaves it out. A folder that leads
// to an included file is not asked for here.
func excluded(list []exclusion, name string) bool {
	for i := len(list) - 1; i >= 0; i-- {
		if tree.Match(list[i].pattern, name) {
			return !list[i].include
		}
	}
	return false
}

// The phases in which files are compared.
const (
	programs = iota
	loaded   // by programs, and by the kernel
	configs
	others
	phases
)

// phaseOf says when a file of a package is compared.
func phaseOf(name string) int {
	first, rest, _ := strings.Cut(strings.TrimPrefix(name, "usr/"), "/")
	second, _, _ := strings.Cut(rest, "/")
	base := path.Base(name)
	switch {
	case tree.OneOf(first, "bin sbin local"):
		return programs
	case first == "libexec", first == "boot", first == "lib" && second == "systemd",
		tree.Match("*.so", base), tree.Match("*.so.*", base), tree.Match("*.ko", base), tree.Match("*.ko.*", base):
		return loaded
	}
	return others
}
