package evt

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// As "wevtutil qe System" shows one, by the documentation of event 1074.
const asked = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='User32' Guid='{b0aa8734-56f7-41cc-b2f4-de228e98b946}' EventSourceName='User32'/><EventID Qualifiers='32768'>1074</EventID><Version>0</Version></System><EventData><Data Name='param1'>C:\Windows\system32\shutdown.exe (PC01)</Data><Data Name='param2'>PC01</Data><Data Name='param3'>No title for this reason could be found</Data><Data Name='param4'>0x800000ff</Data><Data Name='param5'>restart</Data><Data Name='param6'></Data><Data Name='param7'>PC01\hana &amp; ko</Data></EventData></Event>`

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		xml  string
		want Shutdown
	}{
		"restart":   {asked, Shutdown{Type: "reboot", Process: `C:\Windows\system32\shutdown.exe (PC01)`, User: `PC01\hana & ko`}},
		"power off": {strings.Replace(asked, "restart", "power off", 1), Shutdown{Type: "poweroff", Process: `C:\Windows\system32\shutdown.exe (PC01)`, User: `PC01\hana & ko`}},
		"Japanese":  {strings.Replace(asked, "restart", "再起動", 1), Shutdown{Type: "reboot", Process: `C:\Windows\system32\shutdown.exe (PC01)`, User: `PC01\hana & ko`}},
		"other":     {strings.Replace(asked, "restart", "redémarrage", 1), Shutdown{Process: `C:\Windows\system32\shutdown.exe (PC01)`, User: `PC01\hana & ko`}},
		"cancelled": {strings.Replace(asked, ">1074<", ">1075<", 1), Shutdown{Cancelled: true}},
	} {
		if got, err := Parse(c.xml); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "<EventID", "<EventID>", "<EventID/>", "<EventIDs>1074</EventIDs>", strings.Replace(asked, ">1074<", ">6005<", 1), strings.Repeat("x", maxXML+1)} {
		if s, err := Parse(bad); err == nil {
			t.Errorf("%.40q: read as %+v", bad, s)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(asked)
	f.Fuzz(func(t *testing.T, xml string) {
		s, err := Parse(xml)
		if err != nil {
			return
		}
		for _, w := range []string{s.Process, s.User} {
			if len(w) > maxWord+4 || !utf8.ValidString(w) {
				t.Errorf("%q", w)
			}
		}
	})
}
