// Package evt reads the event log of Windows: it hears who asks for a shutdown before
// anything ends, looks for how earlier ones went, and exports logs. It knows nothing of what
// is done then.
//
// Interface: EvtSubscribe, EvtQuery, EvtExportLog, EvtGetLogInfo (winevt.h); events 1074 and 1075 of the source
// User32, and those of [Past].
package evt

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Shutdown is one event 1074 (somebody asks for a shutdown) or 1075 (somebody takes it back).
type Shutdown struct {
	Cancelled bool
	// Type is "poweroff" or "reboot"; empty where the text is in a language that is not
	// known here.
	Type string
	// Process asked, in the name of User. As Windows writes them, cut to maxWord bytes.
	Process, User string
}

const (
	maxXML  = 64 << 10
	maxWord = 256
)

var errEvent = errors.New("not an event 1074 or 1075 of User32")

// Parse reads an event as EvtRender renders it (EvtRenderEventXml), as UTF-8.
func Parse(xml string) (Shutdown, error) {
	if len(xml) > maxXML {
		return Shutdown{}, errors.New("read event: too long")
	}
	number, ok := element(xml, "EventID")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if !ok || err != nil || n != 1074 && n != 1075 {
		return Shutdown{}, errEvent
	}
	s := Shutdown{Cancelled: n == 1075}
	if !s.Cancelled {
		s.Process, s.Type, s.User = data(xml, "param1"), typeOf(data(xml, "param5")), data(xml, "param7")
	}
	return s, nil
}

// typeOf reads the text that stands for the kind of shutdown, which Windows writes in its
// own language.
func typeOf(text string) string {
	t := strings.ToLower(text)
	for _, w := range []string{"restart", "reboot", "再起動"} {
		if strings.Contains(t, w) {
			return "reboot"
		}
	}
	for _, w := range []string{"power off", "shutdown", "shut down", "電源", "シャットダウン"} {
		if strings.Contains(t, w) {
			return "poweroff"
		}
	}
	return ""
}

// element returns the text of the first element of a name, whatever its attributes.
func element(xml, name string) (text string, ok bool) {
	for {
		_, rest, found := strings.Cut(xml, "<"+name)
		if !found {
			return "", false
		}
		attributes, rest, found := strings.Cut(rest, ">")
		if !found {
			return "", false
		}
		if attributes != "" && attributes[0] != ' ' || strings.HasSuffix(attributes, "/") {
			xml = rest
			continue
		}
		text, _, found = strings.Cut(rest, "<")
		return plain(text), found
	}
}

// data returns the value of <Data Name='name'>.
func data(xml, name string) string {
	for _, quote := range []string{"'", `"`} {
		if _, rest, ok := strings.Cut(xml, "<Data Name="+quote+name+quote+">"); ok {
			text, _, _ := strings.Cut(rest, "<")
			return plain(text)
		}
	}
	return ""
}

// plain gives the characters that XML cannot hold as themselves, and cuts.
func plain(s string) string {
	s = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&apos;", "'", "&amp;", "&").Replace(s)
	if len(s) > maxWord {
		s = s[:maxWord]
		for len(s) > 0 && !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
