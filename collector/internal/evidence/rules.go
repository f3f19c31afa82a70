package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/digest"
)

// How many bytes an artifact may decompress to (evidence-format.md).
const (
	maxPlainLines = 4 << 30
	maxPlainImage = 1 << 40
)

// agrees checks what the parts of a manifest say of each other, and what the form of the
// fields alone doesn't show. Verifiers ask the same (manifesttest): what they would refuse
// must not become evidence.
func agrees(m *artifact.Manifest) error {
	switch m.Outcome {
	case artifact.Complete, artifact.Partial, artifact.Interrupted, artifact.Failed:
	default:
		return fmt.Errorf("outcome %.60q is none of a whole acquisition", m.Outcome)
	}
	if m.Signer.OneTime != (m.EndpointID == "") {
		return errors.New("a one-time key signs for no endpoint, and every other key for one")
	}
	if s := m.Tool.SHA256; s != "" {
		if _, err := digest.Parse(s); err != nil {
			return fmt.Errorf("tool: %w", err)
		}
	}
	if err := errors.Join(inUTC(m.StartedAt), inUTC(m.FinishedAt)); err != nil {
		return err
	}
	records := map[artifact.Kind]int64{}
	for _, e := range m.Artifacts {
		if records[e.Kind] = e.Records; e.Records == 0 {
			return fmt.Errorf("%s: an artifact has at least one record", e.Name)
		}
		most := int64(maxPlainImage)
		if hasLines(e.Name) {
			most = maxPlainLines
		}
		if e.Plain.Size > most {
			return fmt.Errorf("%s: its %d bytes are more than %d", e.Name, e.Plain.Size, most)
		}
	}
	for _, p := range m.Probes {
		if err := inUTC(p.StartedAt); err != nil {
			return fmt.Errorf("probe %s: %w", p.Kind, err)
		}
		if p.Records != records[p.Kind] {
			return fmt.Errorf("probe %s wrote %d records, its artifact has %d", p.Kind, p.Records, records[p.Kind])
		}
	}
	return nil
}

// inUTC refuses a moment that is not written with Z, or before the boot.
func inUTC(at artifact.Instant) error {
	if at.Wall.Location() != time.UTC || at.BootNS < 0 {
		return errors.New("an instant is not in UTC or lies before the boot")
	}
	return nil
}

// checkPresent refuses null, and the absence of names that t always has: those without
// "omitempty" or "omitzero". encoding/json takes both for zero.
func checkPresent(b []byte, t reflect.Type) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	return present(v, t, "")
}

func present(v any, t reflect.Type, at string) error {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case nil:
		return fmt.Errorf("%s is null", strings.TrimPrefix(at, "."))
	case []any:
		for n, x := range v {
			if err := present(x, element(t), fmt.Sprintf("%s[%d]", at, n)); err != nil {
				return err
			}
		}
	case map[string]any:
		if t == nil || t.Kind() != reflect.Struct {
			return nil // the decoder says what is wrong with it
		}
		for i := range t.NumField() {
			f := t.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			x, there := v[name]
			if !there && !strings.Contains(options, "omit") {
				return fmt.Errorf("%s.%s is missing", at, name)
			}
			if there {
				if err := present(x, f.Type, at+"."+name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func element(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Slice {
		return t.Elem()
	}
	return nil
}
