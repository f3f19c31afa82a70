package winbytes

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Text reads UTF-16, little end first. Where that is not the whole truth (a surrogate
// without its other half, an odd byte) exact are the bytes themselves, and the text shows
// U+FFFD.
func Text(b []byte) (text string, exact []byte) {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	text, whole := decode(units)
	if len(b)%2 != 0 {
		return text + string(utf8.RuneError), append([]byte(nil), b...)
	}
	if !whole {
		return text, append([]byte(nil), b...)
	}
	return text, nil
}

// Text16 is [Text] for units.
func Text16(units []uint16) (text string, exact []byte) {
	text, whole := decode(units)
	if whole {
		return text, nil
	}
	for _, u := range units {
		exact = binary.LittleEndian.AppendUint16(exact, u)
	}
	return text, exact
}

func decode(units []uint16) (text string, whole bool) {
	var t strings.Builder
	t.Grow(len(units))
	whole = true
	for i := 0; i < len(units); i++ {
		switch u := rune(units[i]); {
		case !utf16.IsSurrogate(u):
			t.WriteRune(u)
		case i+1 < len(units) && utf16.DecodeRune(u, rune(units[i+1])) != utf8.RuneError:
			t.WriteRune(utf16.DecodeRune(u, rune(units[i+1])))
			i++
		default:
			t.WriteRune(utf8.RuneError)
			whole = false
		}
	}
	return t.String(), whole
}

// epoch is 1970 in steps of 100 ns since 1601 (FILETIME).
const epoch = 116444736000000000

// lastTime is the end of the year 9999, the last that RFC 3339 can write.
const lastTime = 2650467744000000000

// Time is a FILETIME, 100 ns since 1601. Zero, and what no clock shows, is the zero time:
// it is not known.
func Time(v int64) time.Time {
	if v <= 0 || v >= lastTime {
		return time.Time{}
	}
	v -= epoch
	return time.Unix(v/1e7, v%1e7*100).UTC()
}

// Ticks is a FILETIME as the number that names a process together with its PID: whole
// microseconds since 1970, which stay exact in the numbers of JSON. What is not known is 0.
func Ticks(v int64) uint64 {
	if v <= epoch || v >= lastTime {
		return 0
	}
	return uint64(v-epoch) / 10
}

// Args splits a command line as the C runtime of most programs does (Microsoft's "Parsing C
// command-line arguments"): blanks part, quotes hold together, a backslash counts only before
// a quote. A program is free to split its command line otherwise.
func Args(line string) (args []string) {
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return args
		}
		var arg string
		arg, line = nextArg(line)
		args = append(args, arg)
	}
}

func nextArg(line string) (arg, rest string) {
	var b strings.Builder
	slashes, quoted := 0, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c == '\\' {
			slashes++
			continue
		}
		if c != '"' {
			b.WriteString(strings.Repeat(`\`, slashes))
			slashes = 0
			if (c == ' ' || c == '\t') && !quoted {
				return b.String(), line[i+1:]
			}
			b.WriteByte(c)
			continue
		}
		b.WriteString(strings.Repeat(`\`, slashes/2))
		switch odd := slashes%2 == 1; {
		case odd:
			b.WriteByte(c)
		case quoted && i+1 < len(line) && line[i+1] == '"': // two within quotes are one that is meant
			b.WriteByte(c)
			i++
			quoted = false
		default:
			quoted = !quoted
		}
		slashes = 0
	}
	b.WriteString(strings.Repeat(`\`, slashes))
	return b.String(), ""
}
