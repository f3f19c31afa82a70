package console

import (
	"errors"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"hozen/collector/internal/act"
)

// form is what a person typed, and what is wrong with it. A page that refuses a form
// shows it again as it was, with the reasons beside the fields.
type form struct {
	Values map[string]string
	Errors map[string]string // field to translated reason
}

// formKind says which characters a field may have.
type formKind int

const (
	oneLine formKind = iota // no control characters
	manyLines
	secretText // a password: anything that is text
)

type field struct {
	name  string
	kind  formKind
	max   int // bytes, after trimming
	empty bool
}

// readForm decodes a posted form. Fields that are not named are ignored; a field that
// stands twice counts once, the first time.
func readForm(v *visit, fields ...field) (form, error) {
	f := form{Values: make(map[string]string), Errors: make(map[string]string)}
	if t, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return f, &badRequest{http.StatusUnsupportedMediaType, "form"}
	}
	if err := v.r.ParseForm(); err != nil {
		if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
			return f, &badRequest{http.StatusRequestEntityTooLarge, "too_large"}
		}
		return f, &badRequest{http.StatusBadRequest, "form"}
	}
	f.take(v, fields...)
	return f, nil
}

// take adds further fields of a form that was read.
func (f form) take(v *visit, fields ...field) {
	for _, want := range fields {
		value := v.r.PostForm.Get(want.name)
		if want.kind != secretText {
			value = strings.TrimSpace(value)
		}
		if want.kind == manyLines {
			value = strings.ReplaceAll(value, "\r\n", "\n")
		}
		if code := want.check(value); code != "" {
			f.Errors[want.name] = v.text.Text("invalid." + code)
			value = strings.Map(func(r rune) rune { // it is only shown again
				if unicode.IsControl(r) && r != '\n' {
					return unicode.ReplacementChar
				}
				return r
			}, value)
		}
		f.Values[want.name] = value
	}
}

func (w field) check(value string) (code string) {
	switch {
	case value == "" && !w.empty:
		return "required"
	case len(value) > w.max:
		return "too_long"
	case !utf8.ValidString(value):
		return "malformed"
	}
	for _, r := range value {
		if unicode.IsControl(r) && (w.kind != manyLines || r != '\n' && r != '\t') {
			return "malformed"
		}
	}
	return ""
}

// ok reports whether nothing is wrong so far.
func (f form) ok() bool { return len(f.Errors) == 0 }

// refuse takes the acts' complaint about a field into the form, and reports whether
// err was one; any other error is the caller's.
func (f form) refuse(v *visit, err error) bool {
	invalid, ok := errors.AsType[*act.Invalid](err)
	if !ok {
		return false
	}
	key := "invalid." + invalid.Code
	if !v.text.Has(key) {
		key = "invalid.malformed"
	}
	f.Errors[invalid.Field] = v.text.Text(key)
	return true
}
