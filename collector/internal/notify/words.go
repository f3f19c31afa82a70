package notify

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"hozen/internal/i18n"
)

//go:embed texts/*.json
var texts embed.FS

// Texts returns the catalogue of the messages.
func Texts() (i18n.Catalogue, error) {
	sub, err := fs.Sub(texts, "texts")
	if err != nil {
		return i18n.Catalogue{}, fmt.Errorf("load texts of messages: %w", err)
	}
	return i18n.Load(sub)
}

// Message is an event in words.
type Message struct {
	Subject string
	Text    string // lines, without the link
	URL     string // where the console shows it; empty: not known
}

// Plain is the whole message as text.
func (m Message) Plain() string {
	lines := []string{m.Text}
	if m.URL != "" {
		lines = append(lines, "", m.URL)
	}
	return strings.Join(lines, "\n")
}

// japan has no daylight saving time and no tzdata that a system could lack.
var japan = time.FixedZone("JST", 9*60*60)

func clock(t time.Time) string { return t.In(japan).Format("2006-01-02 15:04 JST") }

// Words says an event in a language. base is the address of the console, such as
// "https://collector.example:8443"; empty: messages have no link.
func Words(p i18n.Printer, e Event, base string) Message {
	key := "event." + string(e.Kind)
	number := e.IncidentNumber
	if number == "" {
		number = p.Text("no_incident")
	}
	values := map[string]string{
		"incident": number, "at": clock(e.At), "done": strconv.Itoa(e.Done), "of": strconv.Itoa(e.Of), "stage": "", "due": "", "clock": "", "verb": "", "care": "",
	}
	if e.Stage != "" {
		values["stage"] = named(p, "stage.", e.Stage)
	}
	if !e.Due.IsZero() {
		values["due"] = clock(e.Due)
	}
	if e.Kind == DeadlineNear {
		values["clock"] = deadlineName(p, e.Clock)
	}
	if e.Kind == WeeklySummary {
		values["week"] = weekWords(p, e)
		if e.Week != nil && e.Week.Needs() == 0 {
			key += ".nothing"
		}
	}
	if e.Care != "" {
		values["care"] = named(p, "care.", e.Care)
	}
	if e.Verb != "" {
		values["verb"] = named(p, "verb.", e.Verb)
	}
	if e.Joined {
		key += ".joined"
	}
	what, text := p.TextWith(key+".subject", values), p.TextWith(key+".text", values)
	if e.Drill {
		what, text = p.Text("drill.subject", "what", what), p.Text("drill.text")+"\n"+text
	}
	m := Message{Subject: p.Text("subject", "what", what), Text: text + "\n" + p.Text("footer")}
	if base != "" {
		path := e.Path
		if !strings.HasPrefix(path, "/") {
			path = "/"
		}
		m.URL = strings.TrimSuffix(base, "/") + path
	}
	return m
}

func named(p i18n.Printer, prefix, word string) string {
	if p.Has(prefix + word) {
		return p.Text(prefix + word)
	}
	return word
}
