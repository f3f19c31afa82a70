package scan

import (
	"strconv"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"hozen/internal/artifact/record"
)

func appendPID(b []byte, pid int) []byte {
	return append(strconv.AppendInt(b, int64(pid), 10), 0)
}

// file reads a small text of a process; the bytes are valid until the next read.
func (w *worker) file(dir int, name string) ([]byte, unix.Errno) {
	w.path = append(w.path[:0], name...)
	fd, e := w.openat(dir, w.path, unix.O_RDONLY)
	if e != 0 {
		return nil, e
	}
	defer closeFD(fd)
	n := 0
	for {
		k, e := read(fd, w.buf[n:])
		if e != 0 {
			return nil, e
		}
		n += k
		// These texts come whole or fill the buffer.
		if n < len(w.buf) {
			return w.buf[:n], 0
		}
		if len(w.buf) >= 1<<20 {
			return w.buf, 0
		}
		w.buf = append(w.buf, make([]byte, len(w.buf))...)
	}
}

// link reads where a link of a process leads; valid until the next read.
func (w *worker) link(dir int, name string) ([]byte, unix.Errno) {
	w.path = append(w.path[:0], name...)
	n, e := readlinkat(dir, w.path, w.buf)
	if e != 0 {
		return nil, e
	}
	return w.buf[:n], 0
}

// readCmdline reads the command line; cut says that there was more than limit bytes.
func readCmdline(dir int, w *worker, limit int) (b []byte, cut bool, e unix.Errno) {
	w.path = append(w.path[:0], "cmdline\x00"...)
	fd, e := w.openat(dir, w.path, unix.O_RDONLY)
	if e != 0 {
		if gone(e) {
			return nil, false, 0
		}
		return nil, false, e
	}
	defer closeFD(fd)
	b = w.buf[:min(len(w.buf), limit+1)]
	n := 0
	for {
		k, e := read(fd, b[n:])
		if e != 0 && !gone(e) {
			return b[:n], false, e
		}
		if n += k; e != 0 || n < len(b) {
			return b[:n], false, 0
		}
		if n > limit {
			return b[:limit], true, 0
		}
		b = append(b, make([]byte, min(len(b), limit+1-len(b)))...) // kept out of w: it may be large
	}
}

// shown is record.Text with the strings of w.
func (w *worker) shown(b []byte) (string, []byte) {
	if utf8.Valid(b) {
		return w.text(b), nil
	}
	return record.Text(b)
}

// stateName returns a one-letter string without making one.
func stateName(c byte) string {
	const letters = "RSDZTtXxKWPIRSDZ"
	for i := range len(letters) {
		if letters[i] == c {
			return letters[i : i+1]
		}
	}
	return strconv.QuoteRuneToASCII(rune(c))
}
