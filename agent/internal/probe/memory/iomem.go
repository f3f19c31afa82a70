package memory

import (
	"bytes"
	"cmp"
	"math"
	"strconv"

	"hozen/agent/internal/sorted"
)

// span is a part of physical memory, from start up to end, which is not in it.
type span struct{ start, end uint64 }

// parseIomem returns the ranges of /proc/iomem that are the kernel's own memory, as whole
// pages, in ascending order and without overlaps. hidden says that there are some and
// that all addresses are zero: so the kernel shows them to who may not know them.
func parseIomem(b []byte, page uint64) (ram []span, hidden bool) {
	listed := false
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		where, name, ok := bytes.Cut(bytes.TrimSpace(line), []byte(" : "))
		// Memory that was plugged in is named after who gives it: "System RAM (kmem)".
		if !ok || string(name) != "System RAM" && !bytes.HasPrefix(name, []byte("System RAM (")) {
			continue
		}
		low, high, ok := bytes.Cut(where, []byte("-"))
		if !ok {
			continue
		}
		first, err := strconv.ParseUint(string(low), 16, 64)
		last, err2 := strconv.ParseUint(string(high), 16, 64)
		if err != nil || err2 != nil || last < first {
			continue
		}
		listed = true
		if s := whole(first, last, page); s.end > s.start {
			ram = append(ram, s)
		}
	}
	sorted.Func(ram, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	apart := ram[:0]
	var to uint64
	for _, s := range ram {
		if s.start = max(s.start, to); s.end > s.start {
			apart, to = append(apart, s), s.end
		}
	}
	return apart, listed && len(apart) == 0
}

// whole returns the whole pages between two addresses, both included.
func whole(first, last, page uint64) span {
	s := span{first, last}
	if over := first % page; over > 0 {
		if s.start += page - over; s.start < first {
			return span{}
		}
	}
	if s.end++; s.end == 0 {
		s.end = last // the last page of all there could be; no PC has it
	}
	s.end -= s.end % page
	return s
}

// total returns how many bytes the ranges have, at most what an int64 holds.
func total(ram []span) int64 {
	var n uint64
	for _, s := range ram { // they do not overlap, so this is below 2^64
		n += s.end - s.start
	}
	return int64(min(n, math.MaxInt64))
}
