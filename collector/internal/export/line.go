package export

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/bits"
	"strconv"
	"time"
	"unicode/utf8"
)

// member is a name and its value on the first level of a line, as they are spelt.
type member struct {
	name  []byte // without its quotes
	value []byte
	plain bool // the value is a text without an escape: what stands between its quotes
}

// maxNesting is how deep objects and lists may lie in each other: what encoding/json takes.
const maxNesting = 10000

var errText = errors.New("a text is not in the form")

// parseLine reads a line with its LF: one JSON object (RFC 8259) in UTF-8 that begins with
// the line, as the verifier will ask of it. It returns the members, appended to into.
func parseLine(line []byte, into []member) ([]member, bool) {
	if len(line) < 3 || line[0] != '{' || line[len(line)-1] != '\n' || !utf8.Valid(line) {
		return into, false
	}
	i := skipSpace(line, 1)
	if i < len(line) && line[i] == '}' {
		return into, skipSpace(line, i+1) == len(line)
	}
	for {
		if i >= len(line) || line[i] != '"' {
			return into, false
		}
		begin := i + 1
		if i, _ = skipText(line, begin); i < 0 {
			return into, false
		}
		m := member{name: line[begin : i-1]}
		if i = skipSpace(line, i); i >= len(line) || line[i] != ':' {
			return into, false
		}
		begin = skipSpace(line, i+1)
		if begin < len(line) && line[begin] == '"' {
			var escaped bool
			i, escaped = skipText(line, begin+1)
			m.plain = !escaped
		} else {
			i = skipValue(line, begin, 1)
		}
		if i < 0 {
			return into, false
		}
		m.value = line[begin:i]
		into = append(into, m)
		switch i = skipSpace(line, i); {
		case i < len(line) && line[i] == ',':
			i = skipSpace(line, i+1)
		case i < len(line) && line[i] == '}':
			return into, skipSpace(line, i+1) == len(line)
		default:
			return into, false
		}
	}
}

// skipSpace returns where what is no space begins at or after i; len(b) if nowhere.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// skipText returns where the text ends whose opening quote is before i, and whether it has
// an escape; -1 if it is none. It looks at eight bytes at a time: the lowest byte that
// is a quote, a backslash or a control character is found exactly.
func skipText(b []byte, i int) (end int, escaped bool) {
	for {
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			quote, back := w^'"'*everyByte, w^'\\'*everyByte
			found := ((quote-everyByte)&^quote | (back-everyByte)&^back | (w-' '*everyByte)&^w) & highBits
			if found != 0 {
				i += bits.TrailingZeros64(found) / 8
				break
			}
			i += 8
		}
		if i >= len(b) {
			return -1, escaped
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\':
			escaped = true
			n := skipEscape(b[i+1:])
			if n == 0 {
				return -1, escaped
			}
			i += 1 + n
		case c < ' ':
			return -1, escaped
		default:
			i++
		}
	}
}

// skipEscape returns how many bytes an escape has behind its backslash, or 0.
func skipEscape(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(b) < 5 {
			return 0
		}
		for _, c := range b[1:5] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 5
	}
	return 0
}

// skipValue returns where the value ends that begins at i inside so many objects and lists,
// or -1.
func skipValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		end, _ := skipText(b, i+1)
		return end
	case '{', '[':
		if depth == maxNesting {
			return -1
		}
		return skipInside(b, i, depth+1)
	case 't':
		return skipWord(b, i, "true")
	case 'f':
		return skipWord(b, i, "false")
	case 'n':
		return skipWord(b, i, "null")
	}
	return skipNumber(b, i)
}

// skipInside returns where the object or list ends that begins at i.
func skipInside(b []byte, i, depth int) int {
	object, end := b[i] == '{', b[i]+2 // of both brackets, the closing one is two after
	if i = skipSpace(b, i+1); i < len(b) && b[i] == end {
		return i + 1
	}
	for {
		if object {
			if i >= len(b) || b[i] != '"' {
				return -1
			}
			if i, _ = skipText(b, i+1); i < 0 {
				return -1
			}
			if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
				return -1
			}
			i = skipSpace(b, i+1)
		}
		if i = skipValue(b, i, depth); i < 0 {
			return -1
		}
		switch i = skipSpace(b, i); {
		case i < len(b) && b[i] == ',':
			i = skipSpace(b, i+1)
		case i < len(b) && b[i] == end:
			return i + 1
		default:
			return -1
		}
	}
}

func skipWord(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

// skipNumber follows RFC 8259, section 6.
func skipNumber(b []byte, i int) int {
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return -1
		}
	}
	return i
}

// unquote appends the text that raw spells, without quotes.
func unquote(dst, raw []byte) ([]byte, error) {
	at := len(dst)
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		if i++; i == len(raw) {
			return dst, errText
		}
		switch raw[i] {
		case '"', '\\', '/':
			dst = append(dst, raw[i])
		case 'n':
			dst = append(dst, '\n')
		case 't':
			dst = append(dst, '\t')
		case 'r':
			dst = append(dst, '\r')
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		default: // numbers of characters, and pairs of them, as encoding/json takes them
			var s string
			if err := json.Unmarshal(append(append([]byte{'"'}, raw...), '"'), &s); err != nil {
				return dst, errText
			}
			return append(dst[:at], s...), nil
		}
	}
	return dst, nil
}

// text returns a member's value if it is a text.
func (m *member) text() (string, bool) {
	switch {
	case m.value[0] != '"':
		return "", false
	case m.plain:
		return string(m.value[1 : len(m.value)-1]), true
	}
	b, err := unquote(nil, m.value[1:len(m.value)-1])
	return string(b), err == nil
}

// into reads the members that want names into its places, which are pointers as
// json.Unmarshal takes them. Of a name that stands twice the last counts. It reports
// whether all of them were of the right type.
func into(members []member, want func(name []byte) any) bool {
	for i := range members {
		m := &members[i]
		p := want(m.name)
		if p == nil || m.value[0] == 'n' {
			continue
		}
		if !m.read(p) {
			return false
		}
	}
	return true
}

// read reads the value into a place. The types that most lines have are read at once.
func (m *member) read(place any) bool {
	var err error
	ok := true
	switch p := place.(type) {
	case *string:
		*p, ok = m.text()
	case *int:
		*p, err = strconv.Atoi(string(m.value))
	case *int64:
		*p, err = strconv.ParseInt(string(m.value), 10, 64)
	case *uint16:
		var n uint64
		n, err = strconv.ParseUint(string(m.value), 10, 16)
		*p = uint16(n)
	case *uint64:
		*p, err = strconv.ParseUint(string(m.value), 10, 64)
	case *time.Time:
		if ok = m.plain; ok {
			err = p.UnmarshalText(m.value[1 : len(m.value)-1])
		}
	case *[]string:
		*p, ok = m.texts()
	default:
		err = json.Unmarshal(m.value, p)
	}
	return ok && err == nil
}

// texts returns a member's value if it is a list of texts.
func (m *member) texts() (list []string, ok bool) {
	b := m.value
	if b[0] != '[' {
		return nil, false
	}
	i := skipSpace(b, 1)
	for b[i] != ']' {
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
		if b[i] != '"' {
			return nil, false
		}
		end, escaped := skipText(b, i+1)
		one := member{value: b[i:end], plain: !escaped}
		s, ok := one.text()
		if !ok {
			return nil, false
		}
		list = append(list, s)
		i = skipSpace(b, end)
	}
	return list, true
}
