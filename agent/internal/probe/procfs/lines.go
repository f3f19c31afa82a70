package procfs

import (
	"bytes"
	"iter"
	"strings"
)

// Lines yields the lines of b without their ends.
func Lines(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			line := b
			if i := bytes.IndexByte(b, '\n'); i >= 0 {
				line, b = b[:i], b[i+1:]
			} else {
				b = nil
			}
			if !yield(line) {
				return
			}
		}
	}
}

// Line cuts the first line off b, without its end. It takes less room than a loop over
// [Lines], for texts that are short.
func Line(b []byte) (line, rest []byte) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// Fields yields the names and values of lines "Name:\tvalue", as /proc/PID/status has
// them, without the blanks around the value.
func Fields(b []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for line := range Lines(b) {
			if name, value, ok := bytes.Cut(line, []byte{':'}); ok && !yield(name, bytes.TrimSpace(value)) {
				return
			}
		}
	}
}

// Number reads a decimal number that is not negative.
func Number(b []byte) (v uint64, ok bool) {
	v, neg, ok := number(b)
	return v, ok && !neg
}

// Word cuts the first blank-separated word off b.
func Word(b []byte) (w, rest []byte) { return word(b) }

// Unit finds the units of the system manager in the path of a control group: that of the
// system, that of a user's own manager, and the innermost slice. They are names of
// folders, made by systemd alone on an ordinary system.
func Unit(path string) (unit, userUnit, slice string) {
	inUser := false
	for len(path) > 0 {
		var seg string
		if i := strings.IndexByte(path, '/'); i >= 0 {
			seg, path = path[:i], path[i+1:]
		} else {
			seg, path = path, ""
		}
		switch {
		case strings.HasSuffix(seg, ".slice"):
			slice = seg
		case !strings.HasSuffix(seg, ".service") && !strings.HasSuffix(seg, ".scope") && !strings.HasSuffix(seg, ".socket") && !strings.HasSuffix(seg, ".mount") && !strings.HasSuffix(seg, ".swap"):
		case inUser:
			userUnit = seg
		default:
			unit = seg
			inUser = strings.HasPrefix(seg, "user@")
		}
	}
	return unit, userUnit, slice
}
