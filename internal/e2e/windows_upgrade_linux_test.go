package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"hozen/internal/e2e/rig"
)

const agentExe = `C:\Program Files\Hozen\hozen-agent.exe`

// TestWindowsUpgrade: a newer version takes the place of an older one, and the PC stays who it
// is, isolated as it was, with the evidence that still waits; an older one and a damaged
// program change nothing of that. What the installer brought is all gone in the end.
//
// Windows tells the version that goes by UPGRADINGPRODUCTCODE that another one comes. Wine
// does not, so once its part is played by hand; the other time shows that the agent finds out
// by itself.
func TestWindowsUpgrade(t *testing.T) {
	ctx := within(t, 4*patience)
	p := newWindowsPC(t, ctx)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.logs())
		}
	})
	for _, version := range []string{"0.9.1", "0.9.2", "0.10.0"} {
		p.make("packages-windows-agent", filepath.Join(p.wine.Dir(), version), version)
	}
	token, err := p.collector.Token(ctx, 1)
	must(t, err)
	files, registry := p.onDriveC(), p.registry()

	p.version("0.9.1", "ja")
	p.installer("/i", "ENROLLTOKEN="+token)
	p.awaitConnected(t, ctx)
	p.id = p.endpoint(t, ctx).ID

	// As Wine does it, and in the other language at once.
	p.version("0.9.2", "en")
	p.installer("/i")
	p.runs("0.9.2")

	if cmd := p.order(t, ctx, "isolate", nil); cmd.Status != "done" {
		t.Errorf("isolate ended as %s: %s", cmd.Status, cmd.Detail)
	}
	p.isolated()
	rules, waiting := p.filters(), p.unsent()

	// As Windows does it: the old version goes, and knows why.
	p.installer("/x", "UPGRADINGPRODUCTCODE="+p.productCode("0.10.0", "ja"))
	if out, code := p.try("sc", "query", "hozen-agent"); code == 0 {
		t.Errorf("between two versions there is a service:\n%s", out)
	}
	if now := p.filters(); len(rules) == 0 || !maps.Equal(now, rules) {
		t.Errorf("between two versions the network is cut by %v, before by %v", now, rules)
	}
	if !p.isThere("ProgramData/Hozen/agent/spool/"+waiting+"/manifest.json.sig") || !p.isThere("ProgramData/Hozen/agent/identity/identity.json") {
		t.Error("between two versions evidence that waits or the identity is gone")
	}
	p.version("0.10.0", "ja")
	p.installer("/i")
	must(t, p.collector.Serve(ctx))
	p.runs("0.10.0")
	p.isolated()
	p.await(t, ctx, "the evidence that waited", func() (bool, error) {
		list, err := p.collector.Acquisitions(ctx, p.id)
		return slices.ContainsFunc(list, func(a rig.Acquisition) bool { return a.ID == waiting }), err
	})

	// The same again puts back what is missing and changes nothing else.
	p.do("sc", "stop", "hozen-agent")
	must(t, rig.Until(ctx, "the service's end", func() (bool, error) {
		return strings.Contains(p.do("sc", "query", "hozen-agent"), "STOPPED"), nil
	}))
	must(t, os.Remove(p.file("Program Files/Hozen/hozen-agent.exe")))
	p.installer("/i", "REINSTALL=ALL", "REINSTALLMODE=amus", "ENROLLTOKEN="+token) // what msiexec /f stands for, which Wine lacks
	p.runs("0.10.0")
	p.isolated()

	// An older one is refused, in words that Wine says on a screen alone.
	p.version("0.9.1", "ja")
	if log, code := p.tryInstaller("/i", "ENROLLTOKEN="+token); code == 0 || !strings.Contains(log, "LaunchConditions") || strings.Contains(log, "StopServices") {
		t.Errorf("an older version ended with %d and\n%s", code, log[:min(len(log), 3000)])
	}
	p.runs("0.10.0")
	p.isolated()

	p.version("0.10.0", "ja")
	p.installer("/x", "KEEPEVIDENCE=0")
	if left := p.filters(); len(left) > 0 {
		t.Errorf("filters are left: %v", left)
	}
	if out, code := p.try("sc", "query", "hozen-agent"); code == 0 {
		t.Errorf("the service is still there:\n%s", out)
	}
	left := slices.DeleteFunc(less(p.onDriveC(), files), func(path string) bool { return strings.Contains(path, "hozen-fakebfe") })
	if len(left) > 0 {
		t.Errorf("files are left: %q", left)
	}
	if left := less(p.registry(), registry); len(left) > 0 {
		t.Errorf("in the registry are left:\n%s", strings.Join(left, "\n"))
	}
}

// version has the installer of a version ready.
func (p *windowsPC) version(version, lang string) {
	p.t.Helper()
	p.msi = p.installerOf(version, lang)
}

func (p *windowsPC) installerOf(version, lang string) string {
	p.t.Helper()
	return packageFile(p.t, filepath.Join(p.wine.Dir(), version), "hozen-agent_"+version+"_"+lang+".msi")
}

// productCode is by what Windows knows the product of an installer.
func (p *windowsPC) productCode(version, lang string) string {
	p.t.Helper()
	out, err := exec.CommandContext(p.ctx, "msiinfo", "export", p.installerOf(version, lang), "Property").Output()
	must(p.t, err)
	_, rest, found := strings.Cut(string(out), "ProductCode\t")
	if !found {
		p.t.Fatalf("version %s has no product code", version)
	}
	return strings.Fields(rest)[0]
}

// runs fails the test unless one product is installed, that version of the agent runs, and the
// PC is connected as who it was.
func (p *windowsPC) runs(version string) {
	p.t.Helper()
	p.await(p.t, p.ctx, "the agent "+version, func() (bool, error) {
		out, code := p.try(agentExe, "status", "--json")
		return code == 0 && strings.Contains(out, `"`+version+`"`) && strings.Contains(out, `"connected": true`), fmt.Errorf("it says %s", out)
	})
	if e := p.endpoint(p.t, p.ctx); e.ID != p.id {
		p.t.Errorf("the PC is %s now, it was %s", e.ID, p.id)
	}
	if out := p.do("reg", "query", `HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall`, "/s"); strings.Count(out, "Publisher    REG_SZ    Hozen") != 1 || !strings.Contains(out, version) {
		p.t.Errorf("one product is to be installed, version %s:\n%s", version, out)
	}
}

// isolated waits until the collector hears that the PC's network is cut.
func (p *windowsPC) isolated() {
	p.t.Helper()
	p.await(p.t, p.ctx, "the isolation as measured", func() (bool, error) {
		e := p.endpoint(p.t, p.ctx)
		return e.Isolation.Observed == "isolated" && e.Online, fmt.Errorf("it is %+v", e.Isolation)
	})
}

// ours finds a product of ours in the registry, or one that Windows Installer knows by a code.
var ours = regexp.MustCompile(`(?i)hozen|おかしい|Report a problem|\\Installer\\.*\\[0-9A-F]{32}`)

// registry are the keys and values of the machine and of the account that installs which name
// the product. What Wine tells desktops of this machine does not count.
func (p *windowsPC) registry() (lines []string) {
	p.t.Helper()
	for _, hive := range []string{"HKLM", "HKCU", "HKCR"} {
		to := filepath.Join(p.wine.Dir(), hive+".reg")
		p.do("reg", "export", hive, to, "/y")
		b, err := os.ReadFile(to)
		must(p.t, err)
		key := ""
		for line := range strings.Lines(plainText(string(b))) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") {
				key = line
			}
			if line = key + " " + line; ours.MatchString(line) && !strings.Contains(line, `\Software\Wine\`) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// plainText is a text that Windows may have written in UTF-16.
func plainText(s string) string {
	if !strings.HasPrefix(s, "\xff\xfe") {
		return s
	}
	units := make([]uint16, 0, len(s)/2)
	for i := 2; i+1 < len(s); i += 2 {
		units = append(units, uint16(s[i])|uint16(s[i+1])<<8)
	}
	return string(utf16.Decode(units))
}
