// Package i18ntest checks that a catalogue says the same in both languages. It is for
// tests and knows nothing of where the texts are shown.
package i18ntest

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"hozen/internal/i18n"
)

// Parity fails t for every text that is missing in one language, is empty, or has
// other placeholders than in the reference language, and returns the catalogue.
func Parity(t testing.TB, fsys fs.FS) i18n.Catalogue {
	t.Helper()
	c, err := i18n.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Problems(c) {
		t.Error(p)
	}
	return c
}

// Problems lists what [Parity] complains of.
func Problems(c i18n.Catalogue) []string {
	var problems []string
	reference := c.Keys(i18n.Japanese)
	if len(reference) == 0 {
		problems = append(problems, "the reference language has no texts")
	}
	for _, l := range i18n.Languages() {
		keys, p := c.Keys(l), c.Printer(l)
		for _, k := range reference {
			if !slices.Contains(keys, k) {
				problems = append(problems, string(l)+": "+k+" is missing")
			}
		}
		for _, k := range keys {
			if !slices.Contains(reference, k) {
				problems = append(problems, string(l)+": "+k+" is not in the reference language")
				continue
			}
			if strings.TrimSpace(p.Text(k)) == "" {
				problems = append(problems, string(l)+": "+k+" is empty")
			}
			want, got := c.Placeholders(i18n.Japanese, k), c.Placeholders(l, k)
			if !slices.Equal(want, got) {
				problems = append(problems, string(l)+": "+k+" has the placeholders "+strings.Join(got, ",")+", the reference has "+strings.Join(want, ","))
			}
		}
	}
	return problems
}
