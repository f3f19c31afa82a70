package verify

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// pair is a name and its value on the first level of a JSON object, as they are spelt.
type pair struct {
	name  []byte // without its quotes
	value []byte
	bare  bool // the value is a text without a backslash
}

// readObject reads a line, with or without its LF: one JSON object (RFC 8259) in UTF-8 that
// begins with the line. The names and values of its first level are appended to list.
func readObject(line []byte, list []pair) ([]pair, bool) {
	if len(line) == 0 || line[0] != '{' || !utf8.Valid(line) {
		return list, false
	}
	c := cursor{b: line, at: 1, depth: 1}
	if c.next() == '}' {
		c.at++
		return list, c.done()
	}
	for {
		if c.next() != '"' {
			return list, false
		}
		var p pair
		from, ok := c.at+1, false
		if _, ok = c.text(); !ok {
			return list, false
		}
		p.name = line[from : c.at-1]
		if c.next() != ':' {
			return list, false
		}
		c.at++
		quoted := c.next() == '"'
		if from = c.at; quoted {
			p.bare, ok = c.text()
		} else {
			ok = c.value()
		}
		if !ok {
			return list, false
		}
		p.value = line[from:c.at]
		list = append(list, p)
		switch c.next() {
		case ',':
			c.at++
		case '}':
			c.at++
			return list, c.done()
		default:
			return list, false
		}
	}
}

// cursor goes over one line. Its methods return false where the line is not JSON.
type cursor struct {
	b     []byte
	at    int
	depth int // objects and lists around
}

// deepest is how deep objects and lists may lie in each other.
const deepest = 10000

// next goes over spaces and returns the byte behind them, 0 at the end.
func (c *cursor) next() byte {
	for ; c.at < len(c.b); c.at++ {
		switch x := c.b[c.at]; x {
		case ' ', '\t', '\r', '\n':
		default:
			return x
		}
	}
	return 0
}

// done reports whether nothing but spaces is left.
func (c *cursor) done() bool {
	c.next()
	return c.at == len(c.b)
}

// text goes over the text that begins here. bare: it has no backslash.
func (c *cursor) text() (bare, ok bool) {
	bare = true
	for i := c.at + 1; ; {
		i += ordinary(c.b[i:])
		if i >= len(c.b) {
			return bare, false
		}
		switch x := c.b[i]; {
		case x == '"':
			c.at = i + 1
			return bare, true
		case x != '\\' || i+1 == len(c.b): // a control character, or a backslash at the end
			return bare, false
		}
		bare = false
		if i += 2; strings.IndexByte(`"\/bfnrt`, c.b[i-1]) >= 0 {
			continue
		}
		if c.b[i-1] != 'u' || len(c.b)-i < 4 || strings.Trim(string(c.b[i:i+4]), "0123456789abcdefABCDEF") != "" {
			return bare, false
		}
		i += 4
	}
}

// ordinary returns how many bytes b begins with that are neither a quote nor a backslash nor
// a control character. It takes eight at a time: x has the high bit of each byte that is
// one of the three, and of bytes above the first such one perhaps wrongly.
func ordinary(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		v := binary.LittleEndian.Uint64(b[n:])
		q, s := v^(ones*'"'), v^(ones*'\\')
		if x := ((q-ones)&^q | (s-ones)&^s | (v-ones*' ')&^v) & highs; x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
	}
	for n < len(b) && b[n] != '"' && b[n] != '\\' && b[n] >= ' ' {
		n++
	}
	return n
}

// value goes over any value.
func (c *cursor) value() bool {
	switch x := c.next(); x {
	case '"':
		_, ok := c.text()
		return ok
	case '{', '[':
		if c.depth == deepest {
			return false
		}
		c.depth++
		c.at++
		ok := c.inside(x == '{')
		c.depth--
		return ok
	case 't':
		return c.word("true")
	case 'f':
		return c.word("false")
	case 'n':
		return c.word("null")
	}
	return c.number()
}

// inside goes over the rest of an object or a list.
func (c *cursor) inside(object bool) bool {
	end := byte(']')
	if object {
		end = '}'
	}
	if c.next() == end {
		c.at++
		return true
	}
	for {
		if object {
			if c.next() != '"' {
				return false
			}
			if _, ok := c.text(); !ok || c.next() != ':' {
				return false
			}
			c.at++
		}
		if !c.value() {
			return false
		}
		switch c.next() {
		case ',':
			c.at++
		case end:
			c.at++
			return true
		default:
			return false
		}
	}
}

func (c *cursor) word(w string) bool {
	if !strings.HasPrefix(string(c.b[c.at:min(len(c.b), c.at+len(w))]), w) {
		return false
	}
	c.at += len(w)
	return true
}

// number goes over a number (RFC 8259, section 6).
func (c *cursor) number() bool {
	c.skip("-", 1)
	if c.skip("0", 1) == 0 && c.skip("0123456789", -1) == 0 {
		return false
	}
	if c.skip(".", 1) == 1 && c.skip("0123456789", -1) == 0 {
		return false
	}
	if c.skip("eE", 1) == 1 {
		c.skip("+-", 1)
		return c.skip("0123456789", -1) > 0
	}
	return true
}

// skip goes over at most so many bytes of a set, -1: any number, and returns how many.
func (c *cursor) skip(set string, most int) int {
	n := 0
	for n != most && c.at < len(c.b) && strings.IndexByte(set, c.b[c.at]) >= 0 {
		c.at++
		n++
	}
	return n
}
