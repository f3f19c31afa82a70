package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"hozen/collector/internal/console"
	"hozen/collector/internal/localapi"
	"hozen/internal/i18n"
)

// print writes JSON when asked for, else what human writes. The JSON is never
// translated.
func (c *cli) print(v any, human func()) error {
	if !c.json {
		human()
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := c.std.out.Write(inertJSON(b.Bytes()))
	return err
}

// inertJSON spells out what a terminal might obey and encoding/json leaves as it is,
// such as U+009B, the one-character ESC [. It means the same to who reads JSON.
func inertJSON(b []byte) []byte {
	if !bytes.ContainsFunc(b, func(r rune) bool { return r != '\n' && console.Hidden(r) }) {
		return b
	}
	var out bytes.Buffer
	for _, r := range string(b) {
		switch {
		case r == '\n' || !console.Hidden(r):
			out.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}

// sentence is a translated sentence. The values come from PCs and people, so nothing
// in them may move the cursor or colour the screen.
func (c *cli) sentence(key string, pairs ...string) string {
	safe := make([]string, len(pairs))
	for i, s := range pairs {
		safe[i] = inert(s)
	}
	return c.text.Text(key, append(safe, "hozen", c.program())...)
}

// program is how the commands that a text proposes have to begin.
func (c *cli) program() string {
	if c.data == defaultData(c.getenv) {
		return "hozen-collector"
	}
	return "hozen-collector --data " + inert(c.data)
}

// say writes a translated sentence.
func (c *cli) say(key string, pairs ...string) { fmt.Fprintln(c.std.out, c.sentence(key, pairs...)) }

// note writes a translated sentence to standard error, for what is no result.
func (c *cli) note(key string, pairs ...string) { fmt.Fprintln(c.std.err, c.sentence(key, pairs...)) }

// line writes a line of a result.
func (c *cli) line(s string) { fmt.Fprintln(c.std.out, inert(s)) }

// done says that a call without a result has done what was asked, as "done."+verb.
func (c *cli) done(verb string, pairs ...string) {
	if !c.json {
		c.say("done."+verb, pairs...)
	}
}

// list writes rows under the headings "col."+column, or says with the sentence
// "none."+what, and what to do next, that there are none.
func (c *cli) list(what string, columns []string, rows [][]string) {
	if len(rows) == 0 {
		c.note("none." + what)
		return
	}
	c.table(columns, rows)
}

// table writes rows in columns under the headings "col."+column.
func (c *cli) table(columns []string, rows [][]string) {
	header := make([]string, len(columns))
	for i, name := range columns {
		header[i] = c.text.Text("col." + name)
	}
	c.columns(append([][]string{header}, rows...))
}

// fields writes one thing, a field a line, named by "field."+name.
func (c *cli) fields(rows ...[2]string) {
	lines := make([][]string, 0, len(rows))
	for _, r := range rows {
		if r[1] == "" {
			r[1] = "-"
		}
		lines = append(lines, []string{c.text.Text("field." + r[0]), r[1]})
	}
	c.columns(lines)
}

// columns aligns cells as a terminal does, where a Japanese character takes two
// columns.
func (c *cli) columns(rows [][]string) {
	var widths []int
	for _, r := range rows {
		for i := range r {
			r[i] = inert(r[i])
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(r[i]))
		}
	}
	for _, r := range rows {
		var b strings.Builder
		for i, cell := range r {
			b.WriteString(cell)
			if i < len(r)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-width(cell)+2))
			}
		}
		fmt.Fprintln(c.std.out, strings.TrimRight(b.String(), " "))
	}
}

// width is how many columns a terminal gives s.
func width(s string) (n int) {
	for _, r := range s {
		n++
		if wide(r) {
			n++
		}
	}
	return n
}

// wide reports whether a terminal gives r two columns: the blocks of East Asian Width
// W and F (Unicode TR 11) that occur in Japanese text, and pictures.
func wide(r rune) bool {
	return r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff ||
		r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0xffe0 && r <= 0xffe6 || r >= 0x1f300 && r <= 0x1faff || r >= 0x20000 && r <= 0x3fffd
}

// maxLine is the most characters of a stranger's words in one place.
const maxLine = 4096

// inert is s with everything spelt out that a terminal might obey or not show.
func inert(s string) string { return console.Plain(s, maxLine) }

// word is the console's word for one of the fixed words of the collector, such as
// "verb." and "isolate".
func (c *cli) word(prefix, key string) string { return console.Word(c.words, prefix, key) }

// when shows a moment in the zone of the people who use Hozen, and names the zone.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return console.Clock(t)
}

// size writes a number of bytes.
func size(n int64) string { return console.Size(n) }

func itoa[N int | int64 | uint32 | uint64](n N) string { return strconv.FormatInt(int64(n), 10) }

func name(e localapi.Endpoint) string {
	switch {
	case e.Label != "":
		return e.Label
	case e.Hostname != "":
		return e.Hostname
	}
	return e.ID
}

func (c *cli) presence(e localapi.Endpoint) string {
	state := "offline"
	switch {
	case !e.RevokedAt.IsZero():
		state = "revoked"
	case e.Origin == "kit":
		state = "kit"
	case e.Online:
		state = "online"
	case e.LastSeenAt.IsZero():
		state = "never"
	}
	return c.word("presence.", state)
}

// wayHome says whether the collector was reached through the rules.
func (c *cli) wayHome(i localapi.Isolation) string {
	if i.WayHome {
		return c.words.Text("isolation.way_home.yes")
	}
	return c.words.Text("isolation.way_home.no")
}

// japanese reports whether the person reads Japanese.
func (c *cli) japanese() bool { return c.text.Language() == i18n.Japanese }
