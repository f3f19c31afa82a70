package procfs

import (
	"bytes"
	"errors"
	"strconv"
)

// TicksPerSecond is the unit of times in /proc/PID/stat. It is USER_HZ, which is 100
// on every architecture that Go knows.
const TicksPerSecond = 100

// flagKernelThread is PF_KTHREAD of include/linux/sched.h.
const flagKernelThread = 0x00200000

// Stat is what is used of /proc/PID/stat (proc_pid_stat(5)).
type Stat struct {
	Comm       []byte // aliases the input
	State      byte
	PPID       int
	PGID       int
	SID        int
	TTY        int // device number
	Kernel     bool
	CPUTicks   uint64
	Threads    int
	StartTicks uint64
	RSSPages   int64
}

var errStat = errors.New("read /proc/PID/stat: not its format")

// ParseStat reads one line of /proc/PID/stat. The name may contain anything, brackets
// and spaces too, so the fields are counted from the last closing bracket.
func ParseStat(b []byte) (Stat, error) {
	var s Stat
	from, to := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if from < 0 || to < from || to+3 >= len(b) || b[to+1] != ' ' {
		return s, errStat
	}
	s.Comm = b[from+1 : to]
	s.State = b[to+2]
	rest := b[to+3:]
	for field := 4; field <= 24; field++ { // numbered as in the man page
		rest = bytes.TrimLeft(rest, " ")
		n := 0
		for n < len(rest) && rest[n] != ' ' && rest[n] != '\n' {
			n++
		}
		word := rest[:n]
		rest = rest[n:]
		switch field {
		case 5, 6, 7, 9, 4, 14, 15, 20, 22, 24:
		default:
			continue
		}
		v, neg, ok := number(word)
		if !ok {
			return Stat{}, errStat
		}
		i := int(v)
		if neg {
			i = -i
		}
		switch field {
		case 4:
			s.PPID = i
		case 5:
			s.PGID = i
		case 6:
			s.SID = i
		case 7:
			s.TTY = i
		case 9:
			s.Kernel = v&flagKernelThread != 0
		case 14, 15:
			s.CPUTicks += v
		case 20:
			s.Threads = i
		case 22:
			s.StartTicks = v
		case 24:
			s.RSSPages = int64(i)
		}
	}
	return s, nil
}

// number reads a decimal number with an optional sign, without making a string.
func number(b []byte) (v uint64, neg, ok bool) {
	if len(b) > 0 && b[0] == '-' {
		neg, b = true, b[1:]
	}
	if len(b) == 0 || len(b) > 20 {
		return 0, false, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false, false
		}
		d := uint64(c - '0')
		if v > (1<<64-1-d)/10 {
			return 0, false, false
		}
		v = v*10 + d
	}
	return v, neg, true
}

// PID reads a directory name of /proc; ok is false for those that are no process.
func PID(name []byte) (pid int, ok bool) {
	v, neg, ok := number(name)
	if !ok || neg || v == 0 || v > 1<<31-1 {
		return 0, false
	}
	return int(v), true
}

// TTY names the terminal of a device number as /proc/PID/stat writes it; "" for none.
// Drivers that are not known give "major:minor" (devices.txt of the kernel).
func TTY(dev int) string {
	if dev == 0 {
		return ""
	}
	d := uint32(dev)
	major, minor := d>>8&0xfff, d&0xff|d>>12&0xfff00
	n := func(base string, i uint32) string { return base + strconv.FormatUint(uint64(i), 10) }
	switch {
	case major == 4 && minor < 64:
		return n("tty", minor)
	case major == 4:
		return n("ttyS", minor-64)
	case major == 5 && minor == 1:
		return "console"
	case major >= 136 && major <= 143:
		return n("pts/", (major-136)<<20|minor)
	case major == 204 && minor >= 64 && minor < 80:
		return n("ttyAMA", minor-64)
	case major == 229:
		return n("hvc", minor)
	}
	return n(n("", major)+":", minor)
}
