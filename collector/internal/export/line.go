package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

var errLine = errors.New("a line is not one JSON object of names and values")

// isObject reports whether a line with its LF is one JSON object in UTF-8, as the verifier
// will ask of it.
func isObject(line []byte) bool {
	return bytes.HasPrefix(line, []byte("{")) && bytes.HasSuffix(line, []byte("\n")) && utf8.Valid(line) && json.Valid(line)
}

// members gives the names and values of one JSON object as they are written, in their
// order, to each. It looks no deeper than the first level.
func members(line []byte, each func(name, value []byte) error) error {
	b := bytes.TrimSpace(line)
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return errLine
	}
	b = skipSpace(b[1:])
	if b[0] == '}' && len(b) == 1 {
		return nil
	}
	for {
		n := textEnd(b)
		if n < 0 {
			return errLine
		}
		name := b[1 : n-1]
		if b = skipSpace(b[n:]); len(b) == 0 || b[0] != ':' {
			return errLine
		}
		b = skipSpace(b[1:])
		if n = valueEnd(b); n <= 0 {
			return errLine
		}
		if err := each(name, b[:n]); err != nil {
			return err
		}
		switch b = skipSpace(b[n:]); {
		case len(b) == 1 && b[0] == '}':
			return nil
		case len(b) > 1 && b[0] == ',':
			b = skipSpace(b[1:])
		default:
			return errLine
		}
	}
}

func skipSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

// textEnd returns the length of the text that b begins with, quotes included, or -1.
func textEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return -1
	}
	for i := 1; i < len(b); {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		end := i + n
		back := end
		for back > i && b[back-1] == '\\' {
			back--
		}
		// A quote after an odd number of backslashes is part of the text.
		if (end-back)%2 == 0 {
			return end + 1
		}
		i = end + 1
	}
	return -1
}

// valueEnd returns the length of the value that b begins with, or -1.
func valueEnd(b []byte) int {
	if len(b) == 0 {
		return -1
	}
	switch b[0] {
	case '"':
		return textEnd(b)
	case '{', '[':
		depth := 0
		for i := 0; i < len(b); i++ {
			switch b[i] {
			case '"':
				n := textEnd(b[i:])
				if n < 0 {
					return -1
				}
				i += n - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return -1
	}
	n := bytes.IndexAny(b, ",}] \t\r\n")
	if n < 0 || !plainValue(b[:n]) {
		return -1
	}
	return n
}

// plainValue reports whether b is true, false, null or a number (RFC 8259, section 6).
// It looks closely: a cell of a table may not become a formula.
func plainValue(b []byte) bool {
	switch string(b) {
	case "true", "false", "null":
		return true
	}
	return len(b) < 400 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9') && json.Valid(b)
}

// unquote returns the text that raw spells, without quotes.
func unquote(dst, raw []byte) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return append(dst, raw...), nil
	}
	var s string
	if err := json.Unmarshal(append(append([]byte{'"'}, raw...), '"'), &s); err != nil {
		return dst, errLine
	}
	return append(dst, s...), nil
}
