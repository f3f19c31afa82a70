// Package dataset reads the data that the product goes by and that somebody may edit
// without code: strict TOML whose texts are there in both languages. It knows nothing of
// what the data are about.
package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds one file in bytes.
const maxFile = 1 << 20

// Text is one text in the languages of the product.
type Text struct {
	JA string `toml:"ja"`
	EN string `toml:"en"`
}

// In returns the text in a language: "en", or Japanese for any other.
func (t Text) In(language string) string {
	if language == "en" {
		return t.EN
	}
	return t.JA
}

// Decode reads one file into a struct. A key that the struct does not have is an error,
// for it is most likely a misspelt one.
func Decode(data fs.FS, name string, into any) error {
	text, err := fs.ReadFile(data, name)
	if err != nil {
		return fmt.Errorf("read data: %w", err)
	}
	if len(text) > maxFile {
		return fmt.Errorf("read data: %s has more than %d bytes", name, maxFile)
	}
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
			return fmt.Errorf("read data: %s has an unknown key:\n%s", name, strict.String())
		}
		return fmt.Errorf("read data: %s: %w", name, err)
	}
	return nil
}

// Checker gathers what is wrong, so that whoever edits data sees all of it at once. The
// zero value is ready.
type Checker struct {
	wrong []error
}

// Err returns everything that was wrong, or nil.
func (c *Checker) Err() error { return errors.Join(c.wrong...) }

// Fault adds something that is wrong.
func (c *Checker) Fault(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Errorf(format, args...))
}

// Text wants a text in both languages.
func (c *Checker) Text(where string, t Text) {
	if strings.TrimSpace(t.JA) == "" {
		c.Fault("%s has no text in ja", where)
	}
	if strings.TrimSpace(t.EN) == "" {
		c.Fault("%s has no text in en", where)
	}
}

// Known wants every value to be one of all, and none twice.
func (c *Checker) Known(where string, all []string, values ...string) {
	for n, v := range values {
		if !slices.Contains(all, v) {
			c.Fault("%s names %q, which does not exist", where, v)
		}
		if slices.Contains(values[:n], v) {
			c.Fault("%s names %q twice", where, v)
		}
	}
}

// Once wants every key to be there, and none twice.
func (c *Checker) Once(what string, keys []string) {
	for n, k := range keys {
		if k == "" {
			c.Fault("a %s has no key", what)
		}
		if slices.Contains(keys[:n], k) {
			c.Fault("the %s %q stands twice", what, k)
		}
	}
}

// Keys returns the keys of a list.
func Keys[T any, K ~string](list []T, key func(T) K) []string {
	keys := make([]string, 0, len(list))
	for _, v := range list {
		keys = append(keys, string(key(v)))
	}
	return keys
}

// Strings returns values of a string type as strings.
func Strings[K ~string](list []K) []string {
	return Keys(list, func(k K) K { return k })
}
