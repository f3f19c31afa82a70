package record

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"
)

// The functions below append one member of a JSON object each. They are written out
// because a flash capture appends tens of thousands of lines while the PC waits.

// key appends the separator, the name and the colon. Names are plain ASCII.
func key(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// str appends a text; the empty text is left out.
func str(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	return quote(key(b, name), v)
}

// strAlways appends a text, empty or not.
func strAlways(b []byte, name, v string) []byte { return quote(key(b, name), v) }

// strs appends a list of texts; the empty list is left out.
func strs(b []byte, name string, v []string) []byte {
	if len(v) == 0 {
		return b
	}
	b = append(key(b, name), '[')
	for i, s := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = quote(b, s)
	}
	return append(b, ']')
}

// b64 appends bytes in standard base64; no bytes are left out.
func b64s(b []byte, name string, v [][]byte) []byte {
	if len(v) == 0 {
		return b
	}
	b = append(key(b, name), '[')
	for i, s := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(base64.StdEncoding.AppendEncode(b, s), '"')
	}
	return append(b, ']')
}

func b64(b []byte, name string, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	b = append(key(b, name), '"')
	b = base64.StdEncoding.AppendEncode(b, v)
	return append(b, '"')
}

// num appends a number; zero is left out.
func num[T ~int | ~int64 | ~int32](b []byte, name string, v T) []byte {
	if v == 0 {
		return b
	}
	return numAlways(b, name, v)
}

// nums appends a list of numbers; the empty list is left out.
func nums(b []byte, name string, v []int64) []byte {
	if len(v) == 0 {
		return b
	}
	b = append(key(b, name), '[')
	for i, n := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return append(b, ']')
}

// procRefs appends a list of processes; the empty list is left out.
func procRefs(b []byte, name string, v []ProcRef) []byte {
	if len(v) == 0 {
		return b
	}
	b = append(key(b, name), '[')
	for i, p := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = numAlways(append(b, '{'), "pid", p.PID)
		b = append(unumAlways(b, "start_ticks", p.StartTicks), '}')
	}
	return append(b, ']')
}

func numAlways[T ~int | ~int64 | ~int32](b []byte, name string, v T) []byte {
	return strconv.AppendInt(key(b, name), int64(v), 10)
}

// unum appends an unsigned number; zero is left out.
func unum[T ~uint64 | ~uint32 | ~uint16](b []byte, name string, v T) []byte {
	if v == 0 {
		return b
	}
	return unumAlways(b, name, v)
}

func unumAlways[T ~uint64 | ~uint32 | ~uint16](b []byte, name string, v T) []byte {
	return strconv.AppendUint(key(b, name), uint64(v), 10)
}

// flag appends true; false is left out.
func flag(b []byte, name string, v bool) []byte {
	if !v {
		return b
	}
	return append(key(b, name), "true"...)
}

// flagAlways appends true or false.
func flagAlways(b []byte, name string, v bool) []byte {
	return strconv.AppendBool(key(b, name), v)
}

// when appends a time. The zero time is left out, and so is one that RFC 3339 cannot
// write, which no clock shows.
func when(b []byte, name string, v time.Time) []byte {
	if v.IsZero() {
		return b
	}
	v = v.UTC()
	if y := v.Year(); y < 0 || y > 9999 {
		return b
	}
	b = append(key(b, name), '"')
	b = v.AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

// firstPrintable is the first byte that stands for itself in a JSON string (RFC 8259, 7).
const firstPrintable = 0x20

const hexDigits = "0123456789abcdef"

// quote appends v as a JSON string. Each byte that is not UTF-8 becomes U+FFFD, as
// encoding/json has it.
func quote(b []byte, v string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(v); {
		c := v[i]
		if c < utf8.RuneSelf {
			if c >= firstPrintable && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, v[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(v[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, v[from:i]...)
			b = append(b, "\ufffd"...)
			i++
			from = i
			continue
		}
		i += n
	}
	b = append(b, v[from:]...)
	return append(b, '"')
}
