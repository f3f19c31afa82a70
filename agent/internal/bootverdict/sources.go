package bootverdict

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// startOf reads the start of a process, since boot with sleep included, out of
// /proc/PID/stat (proc(5), field 22). The kernel shows 100 ticks a second everywhere.
func startOf(stat []byte) (time.Duration, error) {
	i := bytes.LastIndexByte(stat, ')') // a name may hold anything
	fields := strings.Fields(string(stat[i+1:]))
	const field = 22 - 3
	if i < 0 || len(fields) <= field {
		return 0, fmt.Errorf("read start of process: %d fields", len(fields))
	}
	ticks, err := strconv.ParseInt(fields[field], 10, 64)
	const most = int64(1<<63-1) / int64(10*time.Millisecond)
	if err != nil || ticks < 0 || ticks > most {
		return 0, fmt.Errorf("read start of process: %.40q ticks", fields[field])
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// rootMount finds the device number and the source of / in mountinfo (proc(5)). The last
// line for / covers the others.
func rootMount(mountinfo []byte) (number, source string) {
	for line := range strings.Lines(string(mountinfo)) {
		head, tail, ok := strings.Cut(line, " - ")
		h, t := strings.Fields(head), strings.Fields(tail)
		if ok && len(h) >= 5 && len(t) >= 2 && h[4] == "/" {
			number, source = h[2], t[1]
		}
	}
	if strings.Contains(number, "/") {
		return "", source
	}
	return number, source
}
