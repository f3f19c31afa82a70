package procfs

import "bytes"

// Status is what is used of /proc/PID/status (proc_pid_status(5)).
type Status struct {
	UID, EUID, GID, EGID int64 // -1 when the line is missing
	TracerPID            int
	CapEff               []byte // hexadecimal; aliases the input
	InnerPIDs            []int  // in nested PID namespaces, without the one of this /proc
}

// ParseStatus reads /proc/PID/status. Lines that are missing or odd leave their field
// as it was: the kernel escapes newlines in the one line that a process chooses
// (Name), so no process can make a line of its own.
func ParseStatus(b []byte) Status {
	s := Status{UID: -1, EUID: -1, GID: -1, EGID: -1}
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		if len(line) < 5 {
			continue
		}
		switch line[0] { // before comparing: most of the fifty lines are not ours
		case 'U':
			if rest, ok := bytes.CutPrefix(line, []byte("Uid:")); ok {
				s.UID, s.EUID = pair(rest)
			}
		case 'G':
			if rest, ok := bytes.CutPrefix(line, []byte("Gid:")); ok {
				s.GID, s.EGID = pair(rest)
			}
		case 'T':
			if rest, ok := bytes.CutPrefix(line, []byte("TracerPid:")); ok {
				if v, _, ok := number(bytes.TrimSpace(rest)); ok {
					s.TracerPID = int(v)
				}
			}
		case 'N':
			if rest, ok := bytes.CutPrefix(line, []byte("NSpid:")); ok {
				_, rest = word(rest)        // the one of this /proc
				for len(s.InnerPIDs) < 32 { // the kernel nests 32 deep at most
					var w []byte
					if w, rest = word(rest); len(w) == 0 {
						break
					}
					if v, _, ok := number(w); ok {
						s.InnerPIDs = append(s.InnerPIDs, int(v))
					}
				}
			}
		case 'C':
			if rest, ok := bytes.CutPrefix(line, []byte("CapEff:")); ok {
				s.CapEff = bytes.TrimSpace(rest)
				return s // everything that is used stands before this line
			}
		}
	}
	return s
}

// word cuts the first blank-separated word off b.
func word(b []byte) (w, rest []byte) {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	j := i
	for j < len(b) && b[j] != ' ' && b[j] != '\t' && b[j] != '\n' {
		j++
	}
	return b[i:j], b[j:]
}

// pair reads the first two of the four numbers of a Uid or Gid line.
func pair(b []byte) (first, second int64) {
	first, second = -1, -1
	w, b := word(b)
	if v, _, ok := number(w); ok && v <= 1<<32-1 {
		first = int64(v)
	}
	w, _ = word(b)
	if v, _, ok := number(w); ok && v <= 1<<32-1 {
		second = int64(v)
	}
	return first, second
}
