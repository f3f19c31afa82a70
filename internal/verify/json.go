package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// What a document may hold: far above what the formats need, and so little that a short text
// of nothing but brackets takes no great memory. maxValues is part of the format.
const (
	maxDepth  = 16
	maxValues = 1 << 20
)

// parseJSON reads one JSON value more strictly than encoding/json: UTF-8 only, no
// name twice in one object, nothing after the end. Objects become object, arrays
// []any, numbers json.Number. Names are compared exactly, so "Format" is not "format".
func parseJSON(b []byte) (any, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	if !json.Valid(b) {
		return nil, errors.New("not JSON, or cut off")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	left := maxValues
	v, err := parseValue(d, 0, &left)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

type object map[string]any

func parseValue(d *json.Decoder, depth int, left *int) (any, error) {
	if *left--; *left < 0 {
		return nil, fmt.Errorf("more than %d values", maxValues)
	}
	if depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	t, err := d.Token()
	if err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		o := object{}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			name, ok := k.(string)
			if !ok {
				return nil, fmt.Errorf("%v is no name", k)
			}
			if _, twice := o[name]; twice {
				return nil, fmt.Errorf("the name %.60q stands twice in one object", name)
			}
			if o[name], err = parseValue(d, depth+1, left); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1, left)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}

// fields takes the members out of an object one by one, remembers the first thing
// that is wrong, and in the end refuses what was not taken.
type fields struct {
	at    string
	o     object
	taken map[string]bool
	err   *error // shared by the whole document
}

func newFields(v any, err *error) *fields {
	f := &fields{at: "", err: err, taken: map[string]bool{}}
	f.o = f.object(v, "the document")
	return f
}

func (f *fields) fail(format string, args ...any) {
	if *f.err == nil {
		*f.err = fmt.Errorf(format, args...)
	}
}

func (f *fields) object(v any, what string) object {
	o, ok := v.(object)
	if !ok {
		f.fail("%s is not an object", what)
	}
	return o
}

// take returns a member; required ones must be there, and null counts as absent.
func (f *fields) take(name string, required bool) (any, bool) {
	f.taken[name] = true
	v, ok := f.o[name]
	if ok && v == nil {
		f.fail("%s%s is null", f.at, name)
		return nil, false
	}
	if !ok && required {
		f.fail("%s%s is missing", f.at, name)
	}
	return v, ok
}

func (f *fields) text(name string, required bool) string {
	v, ok := f.take(name, required)
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		f.fail("%s%s is not a text", f.at, name)
	}
	return s
}

// number reads a whole number from 0 to 2⁶³-1.
func (f *fields) number(name string, required bool) int64 {
	v, ok := f.take(name, required)
	if !ok {
		return 0
	}
	n, ok := v.(json.Number)
	i, err := strconv.ParseInt(string(n), 10, 64)
	if !ok || err != nil || i < 0 {
		f.fail("%s%s is not a whole number from 0 on", f.at, name)
		return 0
	}
	return i
}

// whole reads a whole number that may be negative.
func (f *fields) whole(name string) int64 {
	v, ok := f.take(name, true)
	if !ok {
		return 0
	}
	n, ok := v.(json.Number)
	i, err := strconv.ParseInt(string(n), 10, 64)
	if !ok || err != nil {
		f.fail("%s%s is not a whole number", f.at, name)
	}
	return i
}

func (f *fields) flag(name string) bool {
	v, ok := f.take(name, false)
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		f.fail("%s%s is not true or false", f.at, name)
	}
	return b
}

func (f *fields) sha256(name string, required bool) string {
	s := f.text(name, required)
	if s == "" && !required {
		return ""
	}
	if !isHexSHA256(s) {
		f.fail("%s%s is not 64 lower-case hexadecimal digits", f.at, name)
	}
	return s
}

func (f *fields) time(name string) time.Time {
	s := f.text(name, true)
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Location() != time.UTC {
		f.fail("%s%s is not a time in UTC (RFC 3339, Z)", f.at, name)
	}
	return t
}

func (f *fields) sub(name string) *fields {
	v, ok := f.take(name, true)
	s := &fields{at: f.at + name + ".", err: f.err, taken: map[string]bool{}}
	if ok {
		s.o = f.object(v, f.at+name)
	}
	return s
}

func (f *fields) list(name string, limit int) []*fields {
	v, ok := f.take(name, true)
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok || len(list) > limit {
		f.fail("%s%s is not a list of at most %d", f.at, name, limit)
		return nil
	}
	var subs []*fields
	for i, v := range list {
		s := &fields{at: fmt.Sprintf("%s%s[%d].", f.at, name, i), err: f.err, taken: map[string]bool{}}
		s.o = f.object(v, fmt.Sprintf("%s%s[%d]", f.at, name, i))
		subs = append(subs, s)
	}
	return subs
}

// done refuses members that nobody asked for.
func (f *fields) done() {
	for name := range f.o {
		if !f.taken[name] {
			f.fail("%s%.60q is not part of the format", f.at, name)
		}
	}
}
