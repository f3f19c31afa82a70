package filelock

import (
	"bytes"
	"strconv"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

// Parse reads /proc/locks. bad is how many lines are none.
func Parse(b []byte) (locks []record.FileLock, bad int) {
	for line := range procfs.Lines(b) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		l, ok := parseLine(line)
		if !ok {
			bad++
			continue
		}
		locks = append(locks, l)
	}
	return locks, bad
}

// parseLine reads "1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF", where "->" behind
// the number marks one that waits.
func parseLine(line []byte) (l record.FileLock, ok bool) {
	next := func() []byte {
		var w []byte
		w, line = procfs.Word(line)
		return w
	}
	id, found := bytes.CutSuffix(next(), []byte{':'})
	n, isNumber := procfs.Number(id)
	if !found || !isNumber || n > 1<<31-1 {
		return l, false
	}
	l.ID = int(n)
	class := next()
	for string(class) == "->" { // one for each lock that waits for another that waits
		l.Waiting = true
		class = next()
	}
	l.Class, l.Mode, l.Access = text(class), text(next()), text(next())
	pid, err := strconv.Atoi(string(next()))
	if err != nil || pid < -1 || pid > 1<<31-1 {
		return l, false
	}
	l.PID = pid
	file := next()
	at := bytes.LastIndexByte(file, ':')
	if at < 3 {
		return l, false
	}
	l.Dev = text(file[:at])
	if l.Inode, ok = procfs.Number(file[at+1:]); !ok {
		return l, false
	}
	if l.Start, ok = procfs.Number(next()); !ok {
		return l, false
	}
	end := next()
	if string(end) == "EOF" {
		l.End = -1
		return l, len(l.Access) > 0
	}
	v, ok := procfs.Number(end)
	if !ok || v > 1<<63-1 {
		return l, false
	}
	l.End = int64(v)
	return l, true
}

func text(b []byte) string {
	s, _ := record.Text(b)
	return s
}
