package security

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"hozen/agent/internal/probe/facts"
	"hozen/internal/artifact/record"
)

// winTools are the tools that are looked for on Windows: name, category, and the services of
// each, any of which makes it be there.
const winTools = `
Microsoft Defender Antivirus|antivirus|WinDefend WdNisSvc
Microsoft Defender for Endpoint|edr|Sense
Windows Firewall|firewall|mpssvc
Windows Security|monitoring|wscsvc SecurityHealthService
Windows Event Log|audit|EventLog
Sysmon|audit|Sysmon Sysmon64
BitLocker|kernel|BDESVC fvevol
CrowdStrike Falcon|edr|CSFalconService csagent
SentinelOne|edr|SentinelAgent SentinelStaticEngine
Carbon Black|edr|CbDefense CarbonBlack
Cortex XDR|edr|cyserver
Cybereason|edr|CybereasonActiveProbe
Elastic Endpoint|edr|ElasticEndpoint
Velociraptor|edr|Velociraptor
Trend Micro|antivirus|ntrtscan TmCCSF Amsp TMiCRCScanService
ESET|antivirus|ekrn
Symantec Endpoint Protection|antivirus|SepMasterService
Sophos|antivirus|SAVService SntpService HitmanPro.AlertSvc
McAfee, Trellix|antivirus|mfemms McShield masvc
Kaspersky|antivirus|AVP klnagent
F-Secure, WithSecure|antivirus|fshoster FSMA
Bitdefender|antivirus|EPSecurityService VSSERV
`

// winSettings are the values of the registry that say how a tool works: the tool, the key below
// HKLM, and the value.
const winSettings = `
Microsoft Defender Antivirus|SOFTWARE\Microsoft\Windows Defender|DisableAntiSpyware
Microsoft Defender Antivirus|SOFTWARE\Microsoft\Windows Defender|DisableAntiVirus
Microsoft Defender Antivirus|SOFTWARE\Microsoft\Windows Defender|PassiveMode
Microsoft Defender Antivirus|SOFTWARE\Microsoft\Windows Defender\Features|TamperProtection
Microsoft Defender Antivirus|SOFTWARE\Microsoft\Windows Defender\Real-Time Protection|DisableRealtimeMonitoring
Microsoft Defender Antivirus|SOFTWARE\Policies\Microsoft\Windows Defender|DisableAntiSpyware
Microsoft Defender Antivirus|SOFTWARE\Policies\Microsoft\Windows Defender\Real-Time Protection|DisableRealtimeMonitoring
Microsoft Defender Antivirus|SOFTWARE\Microsoft\Windows Defender\Signature Updates|AVSignatureVersion
Microsoft Defender Antivirus|SOFTWARE\Microsoft\Windows Defender\Signature Updates|SignaturesLastUpdated
Windows Firewall|SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\DomainProfile|EnableFirewall
Windows Firewall|SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\StandardProfile|EnableFirewall
Windows Firewall|SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\PublicProfile|EnableFirewall
Windows Security|SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System|EnableLUA
Windows Security|SYSTEM\CurrentControlSet\Control\DeviceGuard\Scenarios\HypervisorEnforcedCodeIntegrity|Enabled
Windows Security|SYSTEM\CurrentControlSet\Control\Lsa|RunAsPPL
`

// maxExclusions bounds the exclusions of Defender that are told.
const maxExclusions = 256

// exclusions are the keys whose values name what Defender does not look at.
const exclusions = `SOFTWARE\Microsoft\Windows Defender\Exclusions`

// winService is what the service control manager tells of a service.
type winService struct {
	name    string
	running bool
	start   string // auto, demand, disabled, …; "" when it may not be known
	pid     int
}

// winRegistry reads values of HKLM; the error wraps fs.ErrNotExist where there is none.
type winRegistry func(key string) (map[string]string, error)

// ofWindows tells of each tool whether it is there, whether it runs, and how it is set.
func ofWindows(services []winService, registry winRegistry, procs []*record.Process, o *facts.Out) (list []*record.SecurityTool) {
	byName := make(map[string]winService, len(services))
	for _, s := range services {
		byName[strings.ToLower(s.name)] = s
	}
	for line := range strings.Lines(winTools) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 3 {
			continue
		}
		t := &record.SecurityTool{Name: f[0], Category: f[1], State: record.SecurityAbsent}
		if services == nil {
			t.State = record.SecurityUnknown
		}
		for name := range strings.FieldsSeq(f[2]) {
			s, ok := byName[strings.ToLower(name)]
			if !ok {
				continue
			}
			t.Units = append(t.Units, strings.TrimSpace(s.name+" "+s.start))
			t.State = stronger(t.State, s)
			for _, p := range procs {
				if s.pid != 0 && p.PID == s.pid {
					t.Processes = append(t.Processes, record.ProcRef{PID: p.PID, StartTicks: p.StartTicks})
				}
			}
		}
		t.Mode = settings(f[0], registry, o)
		if f[0] == "Microsoft Defender Antivirus" {
			t.Paths = excluded(registry, o)
			if len(t.Paths) > 0 {
				t.Detail = "paths, processes and kinds of files that it does not look at"
			}
		}
		list = append(list, t)
	}
	return list
}

// stronger is the state of a tool of which one more service was found.
func stronger(state string, s winService) string {
	switch {
	case s.running || state == record.SecurityRunning:
		return record.SecurityRunning
	case s.start == "disabled" && state != record.SecurityInstalled:
		return record.SecurityDisabled
	}
	return record.SecurityInstalled
}

// settings tells the values that say how a tool works; what is not set is not told.
func settings(tool string, registry winRegistry, o *facts.Out) string {
	var told []string
	for line := range strings.Lines(winSettings) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 3 || f[0] != tool {
			continue
		}
		values, err := registry(f[1])
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			o.Miss(err)
			continue
		}
		v, ok := values[strings.ToLower(f[2])]
		if !ok {
			continue
		}
		last := f[1][strings.LastIndexByte(f[1], '\\')+1:]
		where := last + "." + f[2]
		if strings.HasPrefix(f[1], `SOFTWARE\Policies`) {
			where = "policy." + where
		}
		told = append(told, fmt.Sprintf("%s=%s", where, v))
	}
	return strings.Join(told, " ")
}

// excluded lists what Defender was told not to look at: what intruders set first.
func excluded(registry winRegistry, o *facts.Out) (list []string) {
	for _, kind := range []string{"Paths", "Processes", "Extensions", "IpAddresses"} {
		values, err := registry(exclusions + `\` + kind)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			o.Miss(err)
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if len(list) == maxExclusions {
				o.Miss(fmt.Errorf("more than %d exclusions of Defender", maxExclusions))
				return list
			}
			list = append(list, kind+": "+name)
		}
	}
	return list
}

// fileTime writes a moment of the registry, 8 bytes that count 100 ns since 1601; "" where it is
// none that a PC could have had.
func fileTime(b []byte) string {
	const since1601 = 11_644_473_600 // seconds until 1970
	if len(b) != 8 {
		return ""
	}
	n := binary.LittleEndian.Uint64(b)
	at := time.Unix(int64(n/1e7)-since1601, 0).UTC()
	if at.Year() < 1990 || at.Year() > 2200 {
		return ""
	}
	return at.Format(time.RFC3339)
}
