package finding_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/finding"
	"hozen/internal/artifact/record"
)

// What protects a PC, as the agents of both systems tell it.
func TestProtection(t *testing.T) {
	at := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	tool := func(name, category, state string, change ...func(*record.SecurityTool)) record.SecurityTool {
		s := record.SecurityTool{Name: name, Category: category, State: state}
		for _, c := range change {
			c(&s)
		}
		return s
	}
	mode := func(m string) func(*record.SecurityTool) { return func(s *record.SecurityTool) { s.Mode = m } }
	units := func(u ...string) func(*record.SecurityTool) { return func(s *record.SecurityTool) { s.Units = u } }
	paths := func(p ...string) func(*record.SecurityTool) { return func(s *record.SecurityTool) { s.Paths = p } }
	const defender = "Microsoft Defender Antivirus"
	sense := tool("Microsoft Defender for Endpoint", "edr", record.SecurityInstalled, units("Sense demand")) // as on every Windows
	for name, c := range map[string]struct {
		tools []record.SecurityTool
		want  string
	}{
		"a Windows as it comes": {[]record.SecurityTool{sense, tool(defender, "antivirus", record.SecurityRunning, mode("Features.TamperProtection=5 Signature Updates.AVSignatureVersion=1.4.1 Signature Updates.SignaturesLastUpdated=2026-11-19T22:00:00Z")),
			tool("Windows Firewall", "firewall", record.SecurityRunning, mode("DomainProfile.EnableFirewall=1 PublicProfile.EnableFirewall=1"))}, ""},
		"Defender gave way to another": {[]record.SecurityTool{sense, tool(defender, "antivirus", record.SecurityDisabled, mode("Windows Defender.PassiveMode=1 Real-Time Protection.DisableRealtimeMonitoring=1 Signature Updates.SignaturesLastUpdated=2024-01-01T00:00:00Z")),
			tool("ESET", "antivirus", record.SecurityRunning)}, ""},
		"Defender is stopped":                        {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityDisabled), tool("ESET", "antivirus", record.SecurityAbsent)}, "protection_stopped:" + defender},
		"Defender gave way to one that is not known": {[]record.SecurityTool{sense, tool(defender, "antivirus", record.SecurityInstalled, units("WinDefend demand"))}, "protection_stopped:" + defender},
		"Sense was enrolled and is stopped":          {[]record.SecurityTool{tool("Microsoft Defender for Endpoint", "edr", record.SecurityDisabled, units("Sense disabled"))}, "protection_stopped:Microsoft Defender for Endpoint"},
		"its guard is off":                           {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning, mode("Real-Time Protection.DisableRealtimeMonitoring=1"))}, "protection_switched_off:" + defender},
		"off by a policy alone":                      {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning, mode("Windows Defender.DisableAntiSpyware=0 policy.Windows Defender.DisableAntiSpyware=1"))}, "protection_switched_off:" + defender},
		"a setting like another":                     {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning, mode("Real-Time Protection.DisableRealtimeMonitoring=10 XPassiveMode=1"))}, ""},
		"passive and alone":                          {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning, mode("Windows Defender.PassiveMode=1")), tool("ESET", "antivirus", record.SecurityInstalled)}, "protection_passive:" + defender},
		"exceptions":                                 {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning, paths(`Paths: C:\`))}, "protection_exceptions:" + defender},
		"a week old":                                 {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning, mode("Signature Updates.SignaturesLastUpdated=2026-11-13T09:00:00Z"))}, "protection_old:" + defender},
		"nearly a week old":                          {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning, mode("Signature Updates.SignaturesLastUpdated=2026-11-13T09:00:01Z"))}, ""},
		"a date that is none":                        {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning, mode("Signature Updates.SignaturesLastUpdated=soon"))}, ""},
		"a firewall with a hole":                     {[]record.SecurityTool{tool("Windows Firewall", "firewall", record.SecurityRunning, mode("DomainProfile.EnableFirewall=1 PublicProfile.EnableFirewall=0"))}, "firewall_off:Windows Firewall"},

		"a Linux with nothing":   {[]record.SecurityTool{tool("clamav", "antivirus", record.SecurityAbsent), tool("mdatp", "edr", record.SecurityAbsent), tool("auditd", "audit", record.SecurityRunning)}, "no_protection:"},
		"ClamAV as it should be": {[]record.SecurityTool{tool("clamav", "antivirus", record.SecurityRunning, units("clamav-daemon.service enabled", "clamav-freshclam.service enabled"), paths("/usr/sbin/clamd"))}, ""},
		"ClamAV is stopped":      {[]record.SecurityTool{tool("clamav", "antivirus", record.SecurityDisabled, units("clamav-daemon.service disabled")), tool("falcon-sensor", "edr", record.SecurityAbsent)}, "protection_stopped:clamav"},
		"an EDR runs instead":    {[]record.SecurityTool{tool("clamav", "antivirus", record.SecurityInstalled), tool("falcon-sensor", "edr", record.SecurityRunning)}, ""},
		"it updates nothing":     {[]record.SecurityTool{tool("clamav", "antivirus", record.SecurityRunning, units("clamav-daemon.service enabled", "clamav-freshclam.service masked"))}, "protection_not_updated:clamav"},
		"it updates only":        {[]record.SecurityTool{tool("clamav", "antivirus", record.SecurityRunning, units("clamav-daemon.service disabled", "clamav-freshclam.service enabled"))}, "protection_scanner_off:clamav"},
		"one could not be seen":  {[]record.SecurityTool{tool("clamav", "antivirus", record.SecurityAbsent), tool("mdatp", "edr", record.SecurityUnknown)}, ""},
	} {
		got, _ := found(t, finding.Scene{Tools: c.tools, At: at})
		slices.Sort(got)
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q, want %q", name, s, c.want)
		}
	}
	// What nobody could see is not asked; nor is an age that is not told.
	for name, tools := range map[string][]record.SecurityTool{"nobody looked": nil, "nobody could see": {tool("ESET", "antivirus", record.SecurityUnknown), tool("Windows Firewall", "firewall", record.SecurityUnknown)}} {
		if _, idle := found(t, finding.Scene{Tools: tools, At: at}); !slices.Equal(idle[len(idle)-len(aboutTools):], aboutTools) {
			t.Errorf("%s: not asked: %q", name, idle)
		}
	}
	// One that nobody could see may be the one that runs, or the only one that is there.
	unseen := tool("ESET", "antivirus", record.SecurityUnknown)
	passive := mode("Windows Defender.PassiveMode=1")
	for name, c := range map[string]struct {
		tools []record.SecurityTool
		rule  string
		idle  bool
	}{
		"stopped, and one unseen":           {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityDisabled), unseen}, "protection_stopped", true},
		"stopped, unseen, one runs":         {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityDisabled), unseen, tool("falcon-sensor", "edr", record.SecurityRunning)}, "protection_stopped", false},
		"passive, and one unseen":           {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning, passive), unseen}, "protection_passive", true},
		"passive, unseen, one runs":         {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning, passive), unseen, tool("falcon-sensor", "edr", record.SecurityRunning)}, "protection_passive", false},
		"an unseen firewall":                {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityDisabled), tool("Windows Firewall", "firewall", record.SecurityUnknown)}, "protection_stopped", false},
		"absent, and one unseen":            {[]record.SecurityTool{tool("clamav", "antivirus", record.SecurityAbsent), unseen}, "no_protection", true},
		"one is there, and one unseen":      {[]record.SecurityTool{tool("clamav", "antivirus", record.SecurityInstalled), unseen}, "no_protection", false},
		"exceptions of one, and one unseen": {[]record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning), unseen}, "protection_exceptions", false},
	} {
		list, idle := found(t, finding.Scene{Tools: c.tools, At: at})
		if slices.Contains(idle, c.rule) != c.idle {
			t.Errorf("%s: not asked: %q", name, idle)
		}
		if c.idle && strings.Contains(strings.Join(list, " "), c.rule) {
			t.Errorf("%s: found %q", name, list)
		}
	}
	if _, idle := found(t, finding.Scene{Tools: []record.SecurityTool{tool(defender, "antivirus", record.SecurityRunning)}, At: at}); !slices.Contains(idle, "protection_old") {
		t.Errorf("the age is not told, and not asked: %q", idle)
	}
}

func TestRulesAboutTools(t *testing.T) {
	words := `
weight = 2
ja.title = "a"
ja.means = "b"
ja.not = "c"
ja.next = "d"
en.title = "a"
en.means = "b"
en.not = "c"
en.next = "d"`
	for name, c := range map[string]struct {
		rule string
		ok   bool
	}{
		"whole":             {`on = "tool"` + "\n" + `when.category = ["antivirus"]` + "\n" + `when.state = ["disabled"]`, true},
		"every tool":        {`on = "tool"` + "\n" + `when.state = ["disabled"]`, false},
		"always":            {`on = "tool"` + "\n" + `when.category = ["antivirus"]`, false},
		"no such state":     {`on = "tool"` + "\n" + `when.category = ["antivirus"]` + "\n" + `when.state = ["off"]`, false},
		"a date of nothing": {`on = "tool"` + "\n" + `when.category = ["antivirus"]` + "\n" + `when.days_old = 3`, false},
		"about a process":   {`on = "tool"` + "\n" + `when.category = ["antivirus"]` + "\n" + `when.exe_deleted = true`, false},
		"of a process":      {`on = "process"` + "\n" + `when.exe_deleted = true` + "\n" + `when.category = ["antivirus"]`, false},
		"all but a unit":    {`on = "tools"` + "\n" + `when.category = ["antivirus"]` + "\n" + `when.state = ["absent"]` + "\n" + `when.unit_not = ["a demand"]`, false},
		"a unit not alone":  {`on = "tool"` + "\n" + `when.category = ["antivirus"]` + "\n" + `when.unit_not = ["a demand"]`, false},
		"all by a mode":     {`on = "tools"` + "\n" + `when.category = ["antivirus"]` + "\n" + `when.state = ["absent"]` + "\n" + `when.mode_has = ["a=1"]`, false},
	} {
		if _, err := finding.Parse([]byte("[[rule]]\nid = \"x\"\n" + c.rule + words)); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
