package shared

import (
	"fmt"
	"strconv"
	"time"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

// parse reads a table of /proc/sysvipc: a line of names, and a line of numbers for each
// object. Kernels have added columns at the end.
func parse(typ string, b []byte) (list []record.SharedIPC, odd int) {
	var names []string
	for line := range procfs.Lines(b) {
		if names == nil {
			names = []string{}
			for w, rest := procfs.Word(line); len(w) > 0; w, rest = procfs.Word(rest) {
				names = append(names, string(w))
			}
			continue
		}
		s, ok := object(typ, names, line)
		if !ok {
			odd++
			continue
		}
		list = append(list, s)
	}
	return list, odd
}

func object(typ string, names []string, line []byte) (s record.SharedIPC, ok bool) {
	s = record.SharedIPC{Type: typ, UID: record.Unknown, GID: record.Unknown, Creator: record.Unknown}
	known := 0
	for _, name := range names {
		var w []byte
		if w, line = procfs.Word(line); len(w) == 0 {
			break
		}
		v, err := strconv.ParseInt(string(w), 10, 64)
		if err != nil {
			return s, false
		}
		known++
		switch name {
		case "key":
			s.Key = fmt.Sprintf("0x%x", uint32(v))
		case "shmid", "semid", "msqid":
			s.ID = v
		case "perms":
			s.Mode = string(w) // octal already
		case "uid":
			s.UID = v
		case "gid":
			s.GID = v
		case "cuid":
			s.Creator = v
		case "size", "cbytes", "nsems":
			s.Size = uint64(max(v, 0))
		case "nattch":
			s.Attached = int(v)
		case "cpid", "lspid":
			s.PID = int(v)
		case "lpid", "lrpid":
			s.LastPID = int(v)
		case "ctime":
			if v > 0 {
				s.Changed = time.Unix(v, 0).UTC()
			}
		default:
			known--
		}
	}
	return s, known >= 3 && s.Key != ""
}
