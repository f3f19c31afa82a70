package procfs

import "bytes"

// Mount is a line of /proc/PID/mountinfo (proc_pid_mountinfo(5)). The bytes alias the
// input where the kernel escaped nothing.
type Mount struct {
	ID, Parent   int
	Major, Minor uint32
	Root, Point  []byte // which part of the file system is mounted, and where
	Options      []byte // of this mount, separated by commas
	Tags         []byte // such as "shared:1 master:2", empty for a private mount
	FSType       []byte
	Source       []byte // the device, or whatever the file system calls so
	SuperOptions []byte // of the file system
}

// ParseMount reads one line; false when it is not one.
func ParseMount(line []byte) (m Mount, ok bool) {
	line, super, ok := bytes.Cut(bytes.TrimRight(line, "\n"), []byte(" - "))
	if !ok {
		return Mount{}, false
	}
	id, rest := word(line)
	parent, rest := word(rest)
	device, rest := word(rest)
	m.Root, rest = word(rest)
	m.Point, rest = word(rest)
	m.Options, rest = word(rest)
	m.Tags = bytes.TrimSpace(rest)
	m.FSType, super, _ = bytes.Cut(super, []byte(" ")) // the source may be empty
	m.Source, m.SuperOptions, _ = bytes.Cut(super, []byte(" "))
	major, minor, _ := bytes.Cut(device, []byte(":"))
	var numbers [4]uint32
	for i, text := range [...][]byte{id, parent, major, minor} {
		v, neg, ok := number(text)
		if !ok || neg || v > 1<<31-1 {
			return Mount{}, false
		}
		numbers[i] = uint32(v)
	}
	m.ID, m.Parent, m.Major, m.Minor = int(numbers[0]), int(numbers[1]), numbers[2], numbers[3]
	m.Root, m.Point, m.Source = Unescape(m.Root), Unescape(m.Point), Unescape(m.Source)
	return m, len(m.Point) > 0 && len(m.FSType) > 0
}

// Unescape undoes what the kernel writes for spaces, line ends and backslashes in
// tables such as mountinfo and swaps: a backslash and three octal digits.
func Unescape(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+3 < len(b) && octal(b[i+1]) && b[i+1] < '4' && octal(b[i+2]) && octal(b[i+3]) {
			out = append(out, (b[i+1]-'0')<<6|(b[i+2]-'0')<<3|(b[i+3]-'0'))
			i += 3
			continue
		}
		out = append(out, b[i])
	}
	return out
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
