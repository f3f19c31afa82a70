// Package i18n is a small catalogue of texts in Japanese and English: flat dotted
// keys, placeholders in braces, one printer per language. It knows nothing of HTML,
// of terminals, or of which program it speaks for.
//
// A catalogue is two files, ja.json and en.json, each one JSON object of texts:
//
//	{"endpoint.seen": "最終確認: {when}"}
//
// Japanese is the reference language. Nothing here changes after [Load], so printers
// may be used by many goroutines at once.
package i18n

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// Language is one of the two languages of the product, spelt as in BCP 47.
type Language string

// The languages. Japanese is the default and the reference.
const (
	Japanese Language = "ja"
	English  Language = "en"
)

// Languages returns all languages, the reference first.
func Languages() []Language { return []Language{Japanese, English} }

// maxFile is far above any honest catalogue; more is a mistake in packaging.
const maxFile = 4 << 20

// Catalogue holds the texts of one program. The zero Catalogue has no texts.
type Catalogue struct {
	texts   map[Language]map[string]text
	details Details
}

// text is a text cut at its placeholders: literal, name, literal, name, …, literal.
type text []string

// Load reads ja.json and en.json from the root of fsys. It refuses a file that is
// missing, is not one JSON object of strings, names a key twice or has a malformed
// placeholder. That both languages have the same keys is what i18ntest.Parity checks.
func Load(fsys fs.FS) (Catalogue, error) {
	c := Catalogue{texts: make(map[Language]map[string]text)}
	for _, l := range Languages() {
		name := string(l) + ".json"
		texts, err := loadFile(fsys, name)
		if err != nil {
			return Catalogue{}, fmt.Errorf("load texts %s: %w", name, err)
		}
		c.texts[l] = texts
	}
	return c, nil
}

// With returns a catalogue that has the texts of another one too. It refuses a key that both have.
func (c Catalogue) With(more Catalogue) (Catalogue, error) {
	both := Catalogue{texts: make(map[Language]map[string]text), details: c.details}
	for _, l := range Languages() {
		all := maps.Clone(c.texts[l])
		for key, t := range more.texts[l] {
			if _, twice := all[key]; twice {
				return Catalogue{}, fmt.Errorf("%q stands in two catalogues", key)
			}
			if all == nil {
				all = make(map[string]text)
			}
			all[key] = t
		}
		both.texts[l] = all
	}
	return both, nil
}

func loadFile(fsys fs.FS, name string) (map[string]text, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return parse(raw)
}

// parse reads the object token by token, because a key that stands twice would
// otherwise silently win over the first.
func parse(raw []byte) (map[string]text, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, errors.New("want one JSON object")
	}
	texts := make(map[string]text)
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := k.(string) // the decoder gives only strings here
		value, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("%q: want a string", key)
		}
		if _, twice := texts[key]; twice {
			return nil, fmt.Errorf("%q stands twice", key)
		}
		t, err := cut(value)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		texts[key] = t
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	return texts, nil
}

// cut splits a text at its placeholders. A brace that belongs to none is an error,
// since it is nearly always a placeholder with a slip in it.
func cut(s string) (text, error) {
	var t text
	for {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			return append(t, s), nil
		}
		j := strings.IndexAny(s[i+1:], "{}")
		if s[i] == '}' || j < 0 || s[i+1+j] == '{' || !validName(s[i+1:i+1+j]) {
			return nil, fmt.Errorf("malformed placeholder in %.60q", s)
		}
		t = append(t, s[:i], s[i+1:i+1+j])
		s = s[i+1+j+1:]
	}
}

// validName reports whether s is lower-case ASCII letters, digits and underscores.
func validName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != ""
}

// Keys returns the keys that exist in l, sorted.
func (c Catalogue) Keys(l Language) []string {
	return slices.Sorted(maps.Keys(c.texts[l]))
}

// Placeholders returns the names of the placeholders of a text, sorted, each once.
func (c Catalogue) Placeholders(l Language, key string) []string {
	t := c.texts[l][key]
	var names []string
	for i := 1; i < len(t); i += 2 {
		names = append(names, t[i])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Printer returns the printer of a language; an unknown language gets the reference.
func (c Catalogue) Printer(l Language) Printer {
	if _, ok := c.texts[l]; !ok {
		l = Japanese
	}
	p := Printer{language: l, texts: c.texts[l]}
	if l == Japanese {
		p.details = c.details
	}
	return p
}

// Printer speaks one language. It is a value without state; copy it freely.
type Printer struct {
	language Language
	texts    map[string]text
	details  Details
}

// Language returns the language that p speaks.
func (p Printer) Language() Language { return p.language }

// Has reports whether there is a text for key.
func (p Printer) Has(key string) bool {
	_, ok := p.texts[key]
	return ok
}

// Text returns the text of key with its placeholders filled from pairs of name and
// value. A missing text shows as "⟦key⟧" and a missing value as its placeholder, so
// that a mistake is seen and nothing fails in front of somebody in a hurry.
//
// It is not inlined, because each of the hundreds of calls would bring a closure of its own.
//
//go:noinline
func (p Printer) Text(key string, pairs ...string) string {
	return p.fill(key, func(name string) (string, bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	})
}

// TextWith is [Printer.Text] with the values in a map.
func (p Printer) TextWith(key string, values map[string]string) string {
	return p.fill(key, func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	})
}

func (p Printer) fill(key string, value func(name string) (string, bool)) string {
	t, ok := p.texts[key]
	if !ok {
		return "⟦" + key + "⟧"
	}
	if len(t) == 1 {
		return t[0]
	}
	var b strings.Builder
	for i, part := range t {
		if i%2 == 0 {
			b.WriteString(part)
		} else if v, ok := value(part); ok {
			b.WriteString(v)
		} else {
			b.WriteString("{" + part + "}")
		}
	}
	return b.String()
}
