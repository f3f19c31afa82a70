package console

import (
	"strings"
	"time"

	"hozen/collector/internal/incident"
	"hozen/internal/i18n"
)

// What follows is the console's way of putting things, for the command line to say
// the same in the same words.

// Texts returns the console's texts.
func Texts() (i18n.Catalogue, error) { return i18n.Load(sub("translations")) }

// Sentence is the translated sentence of an entry of a timeline; names are the
// endpoints' names by identifier. What is hidden in a stranger's words is spelt out.
func Sentence(p i18n.Printer, e incident.Entry, names map[string]string) string {
	return sentence(p, e, names)
}

// Told is an entry of a timeline as documents print it: its sentence, what it leaves out, and
// what a person wrote.
func Told(p i18n.Printer, e incident.Entry, names map[string]string) string {
	lines := append([]string{sentence(p, e, names)}, unmarkedAll(entryFacts(p, e))...)
	if e.Text != "" {
		lines = append(lines, e.Text)
	}
	return strings.Join(lines, "\n")
}

// Facts are translated sentences with what the sentence of an entry leaves out.
func Facts(p i18n.Printer, e incident.Entry) []string { return unmarkedAll(entryFacts(p, e)) }

// Lost says in translated sentences what switching a PC off costs, from the facts of
// its gate.
func Lost(p i18n.Printer, facts map[string]string) []string { return unmarkedAll(lost(p, facts)) }

// Word is the text of prefix+key, such as "verb." and "isolate", or key itself, made
// inert, where there is none.
func Word(p i18n.Printer, prefix, key string) string { return optional(p, prefix, key) }

// Clock writes a moment for people, "2026-11-22 19:30:05 JST", or "" for the zero time.
func Clock(t time.Time) string { return clock(t) }

// Ago says how long ago something was.
func Ago(p i18n.Printer, age time.Duration) string {
	now := time.Now()
	return ago(p, now, now.Add(-age))
}

// TrialLabel names a trial of an isolation by its code, such as "tcp4".
func TrialLabel(p i18n.Printer, code string) string { return unmarked(trialLabel(p, code)) }

// LimitText is what a system cannot do about an isolation.
func LimitText(p i18n.Printer, limit string) string { return unmarked(limitText(p, limit)) }

// Size writes a number of bytes in decimal units.
func Size(n int64) string { return size(n) }

// Plain is s on one line with what is hidden in it spelt out, cut after limit characters.
func Plain(s string, limit int) string { return plain(s, limit) }

// Hidden reports whether r must not reach a screen as it is.
func Hidden(r rune) bool { return hidden(r) }
