package records

import (
	"reflect"
	"time"
)

const (
	// zone is what a time takes that is not in UTC: each has a [time.Location] of its own.
	zone = 192
	// fileOverhead is what a File takes beside its records, with its place in the cache.
	fileOverhead = 4096
)

// text is what the bytes of a string take; the runtime rounds up.
func text(s string) int64 { return (int64(len(s)) + 15) &^ 15 }

func texts(list []string) int64 {
	n := int64(cap(list)) * int64(reflect.TypeFor[string]().Size())
	for _, s := range list {
		n += text(s)
	}
	return n
}

// behind returns the bytes that hang on a decoded value. It walks what is really
// there: a byte of JSON may become two bytes of memory or two hundred.
func behind(v reflect.Value) (n int64) {
	switch v.Kind() {
	case reflect.String:
		return text(v.String())
	case reflect.Slice:
		n = int64(v.Cap()) * int64(v.Type().Elem().Size())
		if flat(v.Type().Elem().Kind()) {
			return n
		}
		for i := range v.Len() {
			n += behind(v.Index(i))
		}
	case reflect.Array:
		if flat(v.Type().Elem().Kind()) {
			return 0
		}
		for i := range v.Len() {
			n += behind(v.Index(i))
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			n = int64(v.Elem().Type().Size()) + behind(v.Elem())
		}
	case reflect.Map:
		for i := v.MapRange(); i.Next(); {
			n += 2*int64(v.Type().Key().Size()+v.Type().Elem().Size()) + behind(i.Key()) + behind(i.Value())
		}
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			if t.Location() != time.UTC {
				n = zone
			}
			return n
		}
		for i := range v.NumField() {
			n += behind(v.Field(i))
		}
	}
	return n
}

// flat reports whether nothing hangs on a value of a kind.
func flat(k reflect.Kind) bool { return k >= reflect.Bool && k <= reflect.Complex128 }

// held is what the records take, by the number of rows that pick takes of a slice's
// length and capacity.
func (f *File) held(pick func(length, capacity int) int) int64 {
	return f.own + rows(f.Processes, pick) + rows(f.Sockets, pick) + rows(f.OpenFiles, pick) + rows(f.Hashes, pick) + rows(f.Flights, pick) + rows(f.Lines, pick)
}

func rows[T any](list []T, pick func(length, capacity int) int) int64 {
	var v T
	return int64(pick(len(list), cap(list))) * int64(reflect.TypeOf(v).Size())
}

// full reports whether the records take as much as they may.
func (f *File) full(l Limits) bool {
	return l.Memory > 0 && f.held(func(n, _ int) int { return n }) >= l.Memory
}

// Memory is how many bytes the decoded file takes, the room that its slices keep for
// more included.
func (f *File) Memory() int64 {
	return fileOverhead + f.held(func(_, c int) int { return c })
}
