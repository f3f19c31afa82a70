package procfs

import (
	"bytes"
	"strings"
)

// Cgroup picks one path of /proc/PID/cgroup (cgroups(7)): that of the unified
// hierarchy unless it is "/", else systemd's, else the first that is not "/", else
// "/". A path can contain colons; the two before it cannot be chosen by anybody.
func Cgroup(b []byte) (path []byte) {
	var systemd, first []byte
	var unified []byte
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		id, rest, ok := bytes.Cut(line, []byte(":"))
		names, p, ok2 := bytes.Cut(rest, []byte(":"))
		if !ok || !ok2 {
			continue
		}
		switch {
		case len(names) == 0 && string(id) == "0":
			unified = p
		case string(names) == "name=systemd":
			systemd = p
		}
		if len(first) == 0 && len(p) > 1 {
			first = p
		}
	}
	for _, p := range [][]byte{unified, systemd, first} {
		if len(p) > 1 {
			return p
		}
	}
	return unified
}

// Container guesses from a cgroup path which container a process belongs to and who
// runs it; both empty when the path looks like none. The last match wins, because
// containers are nested.
func Container(path string) (id, runtime string) {
	if len(path) < 8 {
		return "", ""
	}
	for seg := range strings.SplitSeq(path, "/") {
		name := strings.TrimSuffix(seg, ".scope")
		prefix, hex := "", name
		if i := strings.LastIndexAny(name, "-:"); i >= 0 { // docker-<id>.scope, …:cri-containerd:<id>
			prefix, hex = name[:i], name[i+1:]
		}
		switch {
		case isID(hex):
			id, runtime = hex, runtimeOf(prefix, path)
		case strings.HasPrefix(name, "machine-") && len(name) > 8 && seg != name: // machine-<name>.scope
			id, runtime = name[8:], "nspawn"
		case strings.HasPrefix(seg, "lxc.payload.") && len(seg) > 12:
			id, runtime = seg[12:], "lxc"
		}
	}
	if id == "" {
		if rest, ok := strings.CutPrefix(path, "/lxc/"); ok {
			id, _, _ = strings.Cut(rest, "/")
			return id, "lxc"
		}
	}
	return id, runtime
}

// isID reports whether s is a container identifier: 64 hexadecimal digits.
func isID(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func runtimeOf(prefix, path string) string {
	for _, r := range [...]struct{ mark, name string }{
		{"docker", "docker"}, {"cri-containerd", "containerd"}, {"crio", "crio"}, {"libpod", "podman"},
	} {
		if strings.Contains(prefix, r.mark) || strings.Contains(path, "/"+r.mark) {
			return r.name
		}
	}
	if strings.Contains(path, "kubepods") {
		return "kubernetes"
	}
	return ""
}
