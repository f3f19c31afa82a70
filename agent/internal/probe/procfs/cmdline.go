package procfs

import (
	"bytes"
	"strings"

	"hozen/internal/artifact/record"
)

// Cmdline splits the bytes of /proc/PID/cmdline into arguments. exact holds the bytes
// only where the arguments cannot give them back: text that is not UTF-8, a last
// argument without its NUL (a process that overwrote its command line), or padding
// of NULs behind it, which is not shown.
func Cmdline(b []byte) (args []string, exact []byte) {
	if len(b) == 0 {
		return nil, nil
	}
	body, terminated := bytes.CutSuffix(b, []byte{0})
	trimmed := bytes.TrimRight(body, "\x00")
	text, wrong := record.Text(trimmed)
	if !terminated || wrong != nil || len(trimmed) != len(body) {
		exact = bytes.Clone(b)
	}
	if len(trimmed) == 0 {
		if len(body) == 0 {
			return []string{""}, nil // one empty argument, as written
		}
		return nil, exact
	}
	return strings.Split(text, "\x00"), exact
}

// deletedMark is what the kernel puts behind a path whose name is gone (d_path in
// fs/d_path.c). A file can also be named so.
const deletedMark = " (deleted)"

// CutDeleted separates the kernel's mark from a path. Whether the mark is the
// kernel's or part of the name cannot be told from the text alone.
func CutDeleted(path []byte) (name []byte, marked bool) {
	return bytes.CutSuffix(path, []byte(deletedMark))
}

// IsMemFD reports whether a marked path is the name of a file that never was on a
// disk (memfd_create(2)).
func IsMemFD(path []byte) bool { return bytes.HasPrefix(path, []byte("/memfd:")) }

// NSInode reads a link of /proc/PID/ns such as "net:[4026531833]"; 0 when it is none.
func NSInode(link []byte) uint64 {
	i := bytes.IndexByte(link, '[')
	if i < 2 || link[i-1] != ':' {
		return 0
	}
	return bracketed(link[i:])
}

// SocketInode reads a link of /proc/PID/fd such as "socket:[4711]"; 0 when it is none.
// A file can be named so, but then the link is an absolute path and starts with "/".
func SocketInode(link []byte) uint64 {
	const prefix = "socket:"
	if len(link) < len(prefix)+3 || string(link[:len(prefix)]) != prefix {
		return 0
	}
	return bracketed(link[len(prefix):])
}

func bracketed(b []byte) uint64 {
	if len(b) < 3 || b[0] != '[' || b[len(b)-1] != ']' {
		return 0
	}
	v, neg, ok := number(b[1 : len(b)-1])
	if !ok || neg {
		return 0
	}
	return v
}
