package procstate

import (
	"strconv"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

// maxGroups bounds the supplementary groups that are told of one process.
const maxGroups = 256

// Parse reads /proc/PID/status (proc_pid_status(5)) into p; text makes strings of bytes.
// Lines that are missing or odd leave their field as it was.
func Parse(p *record.ProcState, b []byte, text func([]byte) (string, []byte)) {
	str := func(v []byte) string { s, _ := text(v); return s }
	for name, v := range procfs.Fields(b) {
		switch string(name) {
		case "Umask":
			p.Umask = str(v)
		case "Uid":
			p.SUID, p.FSUID = lastTwo(v)
		case "Gid":
			p.SGID, p.FSGID = lastTwo(v)
		case "Groups":
			for len(v) > 0 && len(p.Groups) < maxGroups {
				var w []byte
				w, v = procfs.Word(v)
				if n, ok := procfs.Number(w); ok && n <= 1<<32-1 {
					p.Groups = append(p.Groups, int64(n))
				}
			}
		case "VmPeak":
			p.VMPeakKB = kB(v)
		case "VmHWM":
			p.VMHWMKB = kB(v)
		case "VmSwap":
			p.VMSwapKB = kB(v)
		case "CapInh":
			p.CapInh = str(v)
		case "CapPrm":
			p.CapPrm = str(v)
		case "CapEff":
			p.CapEff = str(v)
		case "CapBnd":
			p.CapBnd = str(v)
		case "CapAmb":
			p.CapAmb = str(v)
		case "NoNewPrivs":
			p.NoNewPrivs = string(v) == "1"
		case "Seccomp":
			switch string(v) {
			case "1":
				p.Seccomp = "strict"
			case "2":
				p.Seccomp = "filter"
			}
		case "Seccomp_filters":
			if n, ok := procfs.Number(v); ok && n < 1<<31 {
				p.SeccompFilters = int(n)
			}
		}
	}
}

// lastTwo reads the third and the fourth number of a Uid or Gid line.
func lastTwo(v []byte) (third, fourth int64) {
	got := [4]int64{record.Unknown, record.Unknown, record.Unknown, record.Unknown}
	for i := range got {
		var w []byte
		w, v = procfs.Word(v)
		if n, ok := procfs.Number(w); ok && n <= 1<<32-1 {
			got[i] = int64(n)
		}
	}
	return got[2], got[3]
}

func kB(v []byte) int64 {
	w, _ := procfs.Word(v)
	if n, ok := procfs.Number(w); ok && n < 1<<62 {
		return int64(n)
	}
	return 0
}

// audit reads a number of the audit, where 2³²−1 stands for none.
func audit(b []byte) int64 {
	const none = 1<<32 - 1
	if n, err := strconv.ParseUint(trim(b), 10, 32); err == nil && n != none {
		return int64(n)
	}
	return record.Unknown
}

func trim(b []byte) string {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == 0) {
		b = b[:len(b)-1]
	}
	return string(b)
}
