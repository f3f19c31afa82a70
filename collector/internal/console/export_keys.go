package console

import (
	"errors"
	"strings"

	"hozen/collector/internal/act"
	"hozen/internal/envelope"
)

// maxKeyText bounds the public keys of one package in bytes; a post-quantum one has 1959.
const maxKeyText = act.MaxRecipients * 2048

// keyExport and a package's identifier name the public keys that it is encrypted to, one a
// line, for as long as the session of the person who ordered it. Whoever comes later gives
// them again.
const keyExport = "export:"

// fieldKeys is the field of forms that holds public keys.
const fieldKeys = "recipient_key"

// keysView is what the field for public keys needs.
type keysView struct {
	ID   string // of the element
	Form form
}

// takeKeys reads the public keys of a form, one a line. What is no public key may be a
// secret one: it is neither shown again nor kept anywhere.
func (f form) takeKeys(v *visit) []envelope.Recipient {
	f.take(v, field{name: fieldKeys, kind: manyLines, max: maxKeyText, empty: true})
	lines := strings.FieldsFunc(f.Values[fieldKeys], func(r rune) bool { return r == '\n' })
	var texts, good []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		texts = append(texts, line)
		if r, err := envelope.ParseRecipient(line); err == nil {
			good = append(good, r.String())
		}
	}
	f.Values[fieldKeys] = strings.Join(good, "\n")
	if strings.Contains(strings.ToUpper(strings.Join(texts, "\n")), "AGE-SECRET-KEY-") { // as when all of age-keygen's file is pasted
		f.Errors[fieldKeys] = v.text.Text("invalid.key_secret")
	}
	if f.Errors[fieldKeys] != "" {
		return nil
	}
	to, err := act.ParseRecipients(texts)
	if err != nil {
		f.Errors[fieldKeys] = v.text.Text(whyNoKey(err))
	}
	return to
}

// whyNoKey is the text for an error of [act.ParseRecipients].
func whyNoKey(err error) string {
	switch {
	case errors.Is(err, envelope.ErrSecretKey):
		return "invalid.key_secret"
	case errors.Is(err, envelope.ErrOtherKind):
		return "invalid.key_other"
	case errors.Is(err, envelope.ErrMixed):
		return "invalid.key_mixed"
	case errors.Is(err, envelope.ErrMalformed):
		return "invalid.key"
	}
	return "invalid.too_many"
}

// keepKeys remembers the public keys of a package; none forgets them.
func (s *server) keepKeys(v *visit, exportID string, to []envelope.Recipient) {
	if len(to) == 0 {
		s.sessions.Remove(v.ctx(), keyExport+exportID)
		return
	}
	texts := make([]string, len(to))
	for i, r := range to {
		texts[i] = r.String()
	}
	s.sessions.Put(v.ctx(), keyExport+exportID, strings.Join(texts, "\n"))
}

// keptKeys returns the public keys of a package as text, one a line.
func (s *server) keptKeys(v *visit, exportID string) string {
	return s.sessions.GetString(v.ctx(), keyExport+exportID)
}
