package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"hozen/collector/internal/act"
)

// route is one line of the table: what can be asked, who may, and how it is answered. The
// types of its input and output are those of its handler, and the document is made of them.
type route struct {
	method, path string
	id           string    // of the operation, in the document
	summary      string    // one line, English
	scope        act.Scope // that a token needs; empty: any token will do
	open         bool      // needs no token
	stream       bool      // answers bytes by itself and takes as long as it takes
	status       int       // of success
	in, out      reflect.Type
	answer       func(ctx context.Context, c *call) (any, error)
}

// does makes a route from a handler.
func does[In, Out any](method, path, id, summary string, scope act.Scope, status int, fn func(ctx context.Context, c *call, in In) (Out, error)) route {
	return route{method: method, path: path, id: id, summary: summary, scope: scope, status: status, in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](),
		answer: func(ctx context.Context, c *call) (any, error) {
			var in In
			if err := decode(c.r, reflect.ValueOf(&in).Elem()); err != nil {
				return nil, err
			}
			return fn(ctx, c, in)
		}}
}

// Paging is how much of a list is asked for.
type Paging struct {
	Limit  int    `json:"-" query:"limit" min:"1" max:"500" doc:"how many at most; 100 if not said"`
	Cursor string `json:"-" query:"cursor" doc:"next of the page before"`
}

func (p Paging) paging() Paging { return p }

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"cursor of the page that follows; absent on the last one"`
}

// lists makes a route that answers a page of what fn returns. A page begins behind the thing
// that the page before ended with, so that what comes meanwhile moves nothing.
func lists[In interface{ paging() Paging }, T any](path, id, summary string, scope act.Scope, key func(T) string, fn func(ctx context.Context, c *call, in In) ([]T, error)) route {
	return does(http.MethodGet, path, id, summary, scope, http.StatusOK, func(ctx context.Context, c *call, in In) (Page[T], error) {
		p, none := in.paging(), Page[T]{}
		all, err := fn(ctx, c, in)
		if err != nil {
			return none, err
		}
		if p.Cursor != "" {
			after, err := base64.RawURLEncoding.DecodeString(p.Cursor)
			if err != nil {
				return none, wrong("cursor", "malformed", "it is none of ours")
			}
			n := slices.IndexFunc(all, func(t T) bool { return key(t) == string(after) })
			if n < 0 {
				return none, wrong("cursor", "unknown", "what it points to is gone; begin again")
			}
			all = all[n+1:]
		}
		if p.Limit == 0 {
			p.Limit = 100
		}
		page := Page[T]{Items: []T{}}
		page.Items = append(page.Items, all[:min(p.Limit, len(all))]...)
		if len(all) > p.Limit {
			page.Next = base64.RawURLEncoding.EncodeToString([]byte(key(page.Items[p.Limit-1])))
		}
		return page, nil
	})
}

// input is one field of an input's type.
type input struct {
	field    reflect.StructField
	index    []int
	name, in string // in: path, query or body
	required bool
}

// inputs are the fields of an input's type, those of embedded types among them.
func inputs(t reflect.Type) []input {
	var list []input
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || !f.IsExported() {
			continue
		}
		i := input{field: f, index: f.Index, required: f.Tag.Get("required") == "true"}
		switch {
		case f.Tag.Get("path") != "":
			i.name, i.in, i.required = f.Tag.Get("path"), "path", true
		case f.Tag.Get("query") != "":
			i.name, i.in = f.Tag.Get("query"), "query"
		default:
			i.name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
			i.in = "body"
		}
		list = append(list, i)
	}
	return list
}

// decode reads a request into an input. What is not asked for is refused: a misspelt name
// must not become an order without the condition that it named.
func decode(r *http.Request, v reflect.Value) error {
	fields := inputs(v.Type())
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return wrong("query", "malformed", "it cannot be read")
	}
	body := false
	for name := range query {
		if !slices.ContainsFunc(fields, func(i input) bool { return i.in == "query" && i.name == name }) {
			return wrong(clip(name), "unknown", "there is no such parameter")
		}
	}
	for _, i := range fields {
		switch i.in {
		case "body":
			body = true
		case "path":
			v.FieldByIndex(i.index).SetString(r.PathValue(i.name))
		case "query":
			if err := setQuery(v.FieldByIndex(i.index), i, query[i.name]); err != nil {
				return err
			}
		}
	}
	if body {
		if err := decodeBody(r, v); err != nil {
			return err
		}
	}
	for _, i := range fields {
		if err := check(v.FieldByIndex(i.index), i); err != nil {
			return err
		}
	}
	return nil
}

func setQuery(f reflect.Value, i input, values []string) error {
	switch {
	case len(values) == 0:
		return nil
	case len(values) > 1:
		return wrong(i.name, "malformed", "it is said more than once")
	case values[0] == "" || !utf8.ValidString(values[0]):
		return wrong(i.name, "malformed", "it is empty or no text")
	}
	if f.Kind() == reflect.Int {
		n, err := strconv.Atoi(values[0])
		if err != nil {
			return wrong(i.name, "malformed", "it is no number")
		}
		if low, high := bound(i, "min"), bound(i, "max"); n < low || n > high {
			return wrong(i.name, "range", "it must be %d to %d", low, high)
		}
		f.SetInt(int64(n))
		return nil
	}
	f.SetString(values[0])
	return nil
}

// bound is the least or the most that a number may be.
func bound(i input, tag string) int {
	n, _ := strconv.Atoi(i.field.Tag.Get(tag)) // a test reads them all
	return n
}

func decodeBody(r *http.Request, v reflect.Value) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return problem{Status: http.StatusUnsupportedMediaType, Code: "media_type", Detail: "send application/json"}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v.Addr().Interface())
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return nil
		}
		err = errors.New("there is something behind the object")
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: fmt.Sprintf("send at most %d bytes", maxBody)}
	}
	return problem{Status: http.StatusBadRequest, Code: "malformed", Detail: clip(err.Error())}
}

// check holds an input to what the document says of it.
func check(f reflect.Value, i input) error {
	if i.required && f.IsZero() {
		return wrong(i.name, "required", "it is missing")
	}
	if known := enums()[f.Type()]; known != nil && !f.IsZero() && !slices.Contains(known, f.String()) {
		return wrong(i.name, "unknown", "it is none of %s", strings.Join(known, ", "))
	}
	return nil
}

// clip keeps what a stranger wrote short in our answers.
func clip(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
