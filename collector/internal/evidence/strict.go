package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"unicode/utf8"
)

// maxDepth bounds nesting; the manifest needs five levels.
const maxDepth = 16

// unmarshalStrict reads signed JSON such that no other reader can understand it
// otherwise: encoding/json alone takes the last of two equal keys, matches keys in
// any case and replaces broken UTF-8. Unknown fields are refused too, and null and the
// absence of what is always there, because what was signed must be understood as a whole.
func unmarshalStrict(b []byte, v any) error {
	if !utf8.Valid(b) {
		return errors.New("not UTF-8")
	}
	if err := checkKeys(b); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	return checkPresent(b, reflect.TypeOf(v))
}

// checkKeys refuses keys that are not lower-case snake_case or that an object has
// twice, deep nesting, and anything after the first value.
func checkKeys(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := checkValue(dec, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after its end")
	}
	return nil
}

func checkValue(dec *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errors.New("nested too deep")
	}
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	open, ok := tok.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		if open == '{' {
			tok, err := dec.Token()
			if err != nil {
				return err
			}
			key, ok := tok.(string)
			if !ok || !plainKey(key) {
				return fmt.Errorf("key %.60q is not of this format", key)
			}
			if seen[key] {
				return fmt.Errorf("key %.60q is there twice", key)
			}
			seen[key] = true
		}
		if err := checkValue(dec, depth+1); err != nil {
			return err
		}
	}
	_, err = dec.Token() // the closing one
	return err
}

func plainKey(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != ""
}
