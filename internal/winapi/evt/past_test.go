package evt

import (
	"strings"
	"testing"
	"time"
)

// As "wevtutil qe System" shows them, by the documentation of event 41 and of EventLog's.
const (
	power = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Kernel-Power' Guid='{331c3b3a-2005-44c2-ac5e-77220c37d6b4}'/><EventID>41</EventID><Version>8</Version><TimeCreated SystemTime='2026-11-23T00:10:11.1234567Z'/><Channel>System</Channel></System><EventData><Data Name='BugcheckCode'>0</Data><Data Name='SleepInProgress'>0</Data><Data Name='PowerButtonTimestamp'>0</Data><Data Name='LongPowerButtonPressDetected'>false</Data></EventData></Event>`
	dirty = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='EventLog'/><EventID Qualifiers='32768'>6008</EventID><TimeCreated SystemTime="2026-11-23T00:10:12Z"/></System><EventData><Data>9:00:00</Data></EventData></Event>`
)

func TestParsePast(t *testing.T) {
	at := time.Date(2026, 11, 23, 0, 10, 12, 0, time.UTC)
	edit := func(s string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(s) }
	when := `</EventID><TimeCreated SystemTime='2026-11-23T00:10:12.000000000Z'/>`
	for name, c := range map[string]struct {
		xml  string
		want Past
	}{
		"power lost": {power, Past{Kind: PastPower, At: at.Add(-876543300)}},
		"blue":       {edit(power, "'BugcheckCode'>0", "'BugcheckCode'>209"), Past{Kind: PastPower, At: at.Add(-876543300), BugCheck: 209}},
		"button":     {edit(power, "'PowerButtonTimestamp'>0", "'PowerButtonTimestamp'>133456"), Past{Kind: PastPower, At: at.Add(-876543300), Button: true}},
		"long press": {edit(power, "false", "true"), Past{Kind: PastPower, At: at.Add(-876543300), Button: true}},
		"dirty":      {dirty, Past{Kind: PastUnexpected, At: at}},
		"stopped":    {edit(dirty, "6008", "6006"), Past{Kind: PastStopped, At: at}},
		"asked":      {edit(asked, "</EventID>", when), Past{Kind: PastAsked, At: at, Shutdown: Shutdown{Type: "reboot", Process: `C:\Windows\system32\shutdown.exe (PC01)`, User: `PC01\hana & ko`}}},
	} {
		if got, err := ParsePast(c.xml); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", asked, edit(power, "Kernel-Power", "Evil"), edit(dirty, "6008", "6005"), edit(dirty, "SystemTime", "Time"), strings.Repeat("x", maxXML+1)} {
		if p, err := ParsePast(bad); err == nil {
			t.Errorf("%.60q: read as %+v", bad, p)
		}
	}
	if list := parseAll([]string{dirty, "nonsense", power}); len(list) != 2 || list[0].Kind != PastPower {
		t.Errorf("%+v", list)
	}
}

func FuzzParsePast(f *testing.F) {
	f.Add(power)
	f.Add(dirty)
	f.Fuzz(func(t *testing.T, xml string) {
		if p, err := ParsePast(xml); err == nil && (p.Kind == "" || p.At.Location() != time.UTC) {
			t.Errorf("%+v", p)
		}
	})
}
