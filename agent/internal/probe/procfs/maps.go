package procfs

import "bytes"

// Mapping is a line of /proc/PID/maps (proc_pid_maps(5)). Its slices alias the input.
type Mapping struct {
	Start, End, Offset uint64
	Perms              []byte // four letters, such as "r-xp"
	Dev                []byte // "major:minor", hexadecimal
	Inode              uint64
	Path               []byte // with " (deleted)" where the kernel wrote that
}

// NextMapping reads the first line of b; ok is false when it is none.
func NextMapping(b []byte) (m Mapping, rest []byte, ok bool) {
	line := b
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		line, rest = b[:i], b[i+1:]
	}
	if m.Start, line, ok = hexUntil(line, '-'); !ok {
		return m, rest, false
	}
	if m.End, line, ok = hexUntil(line, ' '); !ok || m.End < m.Start {
		return m, rest, false
	}
	if len(line) < 5 || line[4] != ' ' {
		return m, rest, false
	}
	m.Perms, line = line[:4], line[5:]
	if m.Offset, line, ok = hexUntil(line, ' '); !ok {
		return m, rest, false
	}
	m.Dev, line, ok = bytes.Cut(line, []byte{' '})
	if !ok || len(m.Dev) < 3 {
		return m, rest, false
	}
	inode, path, _ := bytes.Cut(line, []byte{' '}) // a range without a name ends here
	v, neg, ok := number(inode)
	if !ok || neg {
		return m, rest, false
	}
	m.Inode = v
	m.Path = bytes.TrimLeft(path, " ")
	return m, rest, true
}

// hexUntil reads a hexadecimal number that ends with end.
func hexUntil(b []byte, end byte) (v uint64, rest []byte, ok bool) {
	for i, c := range b {
		switch {
		case c == end:
			return v, b[i+1:], i > 0
		case i == 16:
			return 0, nil, false
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, nil, false
		}
	}
	return 0, nil, false
}
