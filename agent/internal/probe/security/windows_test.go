package security

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func toolsOf(t *testing.T, services []winService, registry winRegistry) (map[string]record.SecurityTool, error) {
	t.Helper()
	var l probetest.Lines
	err := facts.New(facts.Config{OS: runtime.GOOS, Read: func(_ context.Context, o *facts.Out) error {
		for _, s := range ofWindows(services, registry, []*record.Process{{PID: 90, StartTicks: 7}}, o) {
			if err := o.Write(s); err != nil {
				return err
			}
		}
		return nil
	}}).Acquire(t.Context(), &l)
	got := make(map[string]record.SecurityTool)
	for _, line := range l.All {
		var s record.SecurityTool
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		got[s.Name] = s
	}
	return got, err
}

func TestToolsOfWindows(t *testing.T) {
	got, err := toolsOf(t, []winService{{"windefend", false, "disabled", 0}, {"WdNisSvc", false, "disabled", 0}, {"MpsSvc", true, "auto", 90}, {"ekrn", false, "auto", 0}}, func(key string) (map[string]string, error) {
		switch key {
		case `SOFTWARE\Policies\Microsoft\Windows Defender`:
			return map[string]string{"disableantispyware": "1"}, nil
		case `SOFTWARE\Microsoft\Windows Defender\Exclusions\Paths`:
			return map[string]string{`c:\users\public`: "0", `c:\`: "0"}, nil
		case `SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\PublicProfile`:
			return map[string]string{"enablefirewall": "0"}, nil
		case `SOFTWARE\Microsoft\Windows Defender\Features`:
			return nil, fs.ErrPermission
		}
		return nil, fs.ErrNotExist
	})
	if m := probe.AsMissing(err); m == nil || m.Skipped != 1 || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the refused key: %v", err)
	}
	d := got["Microsoft Defender Antivirus"]
	if d.State != record.SecurityDisabled || d.Mode != "policy.Windows Defender.DisableAntiSpyware=1" || !slices.Equal(d.Paths, []string{`Paths: c:\`, `Paths: c:\users\public`}) || !slices.Equal(d.Units, []string{"windefend disabled", "WdNisSvc disabled"}) {
		t.Errorf("%+v", d)
	}
	if f := got["Windows Firewall"]; f.State != record.SecurityRunning || f.Mode != "PublicProfile.EnableFirewall=0" || !slices.Equal(f.Processes, []record.ProcRef{{PID: 90, StartTicks: 7}}) {
		t.Errorf("%+v", f)
	}
	if got["ESET"].State != record.SecurityInstalled || got["Sysmon"].State != record.SecurityAbsent || got["Sysmon"].Units != nil {
		t.Errorf("%+v %+v", got["ESET"], got["Sysmon"])
	}
	if blind, _ := toolsOf(t, nil, func(string) (map[string]string, error) { return nil, fs.ErrNotExist }); blind["ESET"].State != record.SecurityUnknown {
		t.Errorf("nobody could look, and it says %q", blind["ESET"].State)
	}
}

func TestFileTime(t *testing.T) {
	for want, b := range map[string][]byte{
		"2026-11-20T03:04:05Z": {0x80, 0x80, 0x43, 0xcd, 0x9b, 0x78, 0xdd, 0x01},
		"":                     {0, 0, 0, 0, 0, 0, 0, 0},
	} {
		if got := fileTime(b); got != want {
			t.Errorf("%x: %q, want %q", b, got, want)
		}
	}
	if fileTime([]byte{1, 2}) != "" || fileTime([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) != "" {
		t.Error("no moment is one")
	}
}
