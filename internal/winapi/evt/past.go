package evt

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of [Past].
const (
	// PastAsked is event 1074: somebody asked for a shutdown.
	PastAsked = "asked"
	// PastStopped is event 6006 of EventLog: its service was stopped in order.
	PastStopped = "stopped"
	// PastUnexpected is event 6008 of EventLog: at the start it found that it had not been.
	PastUnexpected = "unexpected"
	// PastPower is event 41 of Kernel-Power: at the start the kernel found that it had not
	// ended in order.
	PastPower = "power"
)

// Past is an event that tells how a start of Windows ended.
type Past struct {
	Kind string
	At   time.Time // when it was written
	// Shutdown is who asked; of PastAsked.
	Shutdown
	// BugCheck is the number of the blue screen, 0 without one; Button says that the power
	// button was held until the PC went off. Of PastPower.
	BugCheck uint64
	Button   bool
}

var errPast = errors.New("not an event of the end of a start")

// ParsePast reads an event as EvtRender renders it (EvtRenderEventXml), as UTF-8.
func ParsePast(xml string) (p Past, err error) {
	if len(xml) > maxXML {
		return p, errors.New("read event: too long")
	}
	number, _ := element(xml, "EventID")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil {
		return p, errPast
	}
	if p.At, err = time.Parse(time.RFC3339Nano, attribute(xml, "TimeCreated", "SystemTime")); err != nil {
		return p, errPast
	}
	p.At = p.At.UTC()
	switch provider := attribute(xml, "Provider", "Name"); {
	case n == 1074 && provider == "User32":
		p.Kind = PastAsked
		p.Shutdown, err = Parse(xml)
		return p, err
	case n == 6006 && provider == "EventLog":
		p.Kind = PastStopped
	case n == 6008 && provider == "EventLog":
		p.Kind = PastUnexpected
	case n == 41 && provider == "Microsoft-Windows-Kernel-Power":
		p.Kind = PastPower
		p.BugCheck, _ = strconv.ParseUint(data(xml, "BugcheckCode"), 0, 64) // 0 where it does not stand there
		pressed, _ := strconv.ParseUint(data(xml, "PowerButtonTimestamp"), 0, 64)
		p.Button = pressed != 0 || strings.EqualFold(data(xml, "LongPowerButtonPressDetected"), "true")
	default:
		return p, errPast
	}
	return p, nil
}

// attribute returns an attribute of the first element of a name.
func attribute(xml, name, attr string) string {
	_, rest, ok := strings.Cut(xml, "<"+name+" ")
	if !ok {
		return ""
	}
	head, _, _ := strings.Cut(rest, ">")
	for _, quote := range []string{"'", `"`} {
		if _, v, ok := strings.Cut(" "+head, " "+attr+"="+quote); ok {
			v, _, _ = strings.Cut(v, quote)
			return plain(v)
		}
	}
	return ""
}

// parseAll reads what is understood of many, the oldest first.
func parseAll(xmls []string) (list []Past) {
	for _, x := range xmls {
		if p, err := ParsePast(x); err == nil {
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b Past) int { return a.At.Compare(b.At) })
	return list
}
