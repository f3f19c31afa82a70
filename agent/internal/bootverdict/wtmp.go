package bootverdict

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"hozen/internal/artifact/record"
)

// The layouts of struct utmp (utmp(5)): with 32-bit times and with 64-bit ones.
const (
	utmpSize32 = 384
	utmpSize64 = 400
)

// utmpSize says which layout the C library of an architecture has: 32-bit times where
// 32-bit programs of the same machine share the file.
func utmpSize(arch string) int {
	if slices.Contains([]string{"amd64", "386", "arm", "ppc64", "ppc64le", "s390x", "riscv64"}, arch) {
		return utmpSize32
	}
	return utmpSize64
}

type mark int

const (
	markOther mark = iota
	markBoot       // BOOT_TIME
	markDown       // RUN_LVL of the user "shutdown"
)

// wtmpMark is one record, as far as it matters here.
type wtmpMark struct {
	kind   mark
	at     time.Time
	kernel string // the release that ran; boot and shutdown records only
}

// parseWtmp reads records of one size. What is left behind the last whole one is
// left out: a record is being written there.
func parseWtmp(b []byte, size int) []wtmpMark {
	out := make([]wtmpMark, 0, len(b)/size)
	for ; len(b) >= size; b = b[size:] {
		ne := binary.NativeEndian
		var m wtmpMark
		var sec, usec int64
		if size == utmpSize64 {
			sec, usec = int64(ne.Uint64(b[344:])), int64(ne.Uint64(b[352:]))
		} else {
			sec, usec = int64(int32(ne.Uint32(b[340:]))), int64(int32(ne.Uint32(b[344:])))
		}
		const latest = 253402300799 // the last second that RFC 3339 can write
		if sec > 0 && sec <= latest && usec >= 0 && usec < 1e6 {
			m.at = time.Unix(sec, usec*1000).UTC()
		}
		switch typ, user := int16(ne.Uint16(b)), string(cString(b[44:76])); {
		case typ == 2:
			m.kind = markBoot
		case typ == 1 && user == "shutdown":
			m.kind = markDown
		}
		if m.kind != markOther {
			m.kernel = string(cString(b[76:332]))
		}
		out = append(out, m)
	}
	return out
}

func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// wtmpFinding looks for the end of the boot before this one. thisBoot is the time of
// this boot's own record, from utmp; began is when this boot began. Either may be zero.
func wtmpFinding(marks []wtmpMark, thisBoot, began time.Time) Finding {
	f := found(sourceWtmp, witnessWtmp)
	end := len(marks)
	for i := len(marks) - 1; i >= 0; i-- {
		if marks[i].kind != markBoot {
			continue
		}
		ours := marks[i].at.Equal(thisBoot) && !thisBoot.IsZero() ||
			thisBoot.IsZero() && !began.IsZero() && !marks[i].at.Before(began.Add(-bootRecordSlack))
		if ours {
			end = i
		}
		break
	}
	var down *wtmpMark
	for i := end - 1; i >= 0; i-- {
		m := &marks[i]
		if m.at.After(f.LastSeen) {
			f.LastSeen = m.at
		}
		if m.kind == markDown && down == nil {
			down = m
		}
		if m.kind != markBoot {
			continue
		}
		f.Began = m.at
		break
	}
	switch {
	case thisBoot.IsZero() && began.IsZero():
		return Finding{BootBasis: record.BootBasis{Source: f.Source, Witness: f.Witness, Read: f.Read, Says: "own_boot_unknown"}}
	case down != nil:
		f.Says, f.Leans, f.At, f.Detail = "shutdown_record", leansOrderly, down.at, shorten(down.kernel)
	case f.Began.IsZero():
		f.Says = "no_earlier_boot"
		if end == len(marks) {
			// Nor is there this boot's record: systemd 257 writes none. What is left are
			// logins, and nothing says that they are not this boot's.
			f.LastSeen = time.Time{}
		}
	default:
		f.Says, f.Leans, f.At = "no_shutdown_record", leansAbrupt, f.LastSeen
	}
	return f
}

// bootRecordSlack is how much earlier than the beginning of this boot, as reckoned now,
// its record may be: the clock may have been set in between.
const bootRecordSlack = 5 * time.Second

// bootTime finds this boot's record in a utmp file.
func bootTime(marks []wtmpMark) (t time.Time) {
	for _, m := range marks {
		if m.kind == markBoot {
			t = m.at
		}
	}
	return t
}
