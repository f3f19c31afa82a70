package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestProductVersion(t *testing.T) {
	for in, want := range map[string]string{"0.1.0": "0.1.0", "1.20.300+12.gabcdef": "1.20.300", "0.0.0-dev": "0.0.0", "255.255.65535": "255.255.65535"} {
		if got, err := productVersion(in); err != nil || got != want {
			t.Errorf("productVersion(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "1.2", "v1.2.3", "256.0.0", "0.0.65536", "0.0.99999999999999999999"} {
		if got, err := productVersion(in); err == nil {
			t.Errorf("productVersion(%q) = %q, want an error", in, got)
		}
	}
}

func TestSplitTables(t *testing.T) {
	got := splitTables("# about\n# nothing\n\nA\tB\ns1\ts2\nT\tA\n#7\tx\n\n\n# and\nC\ns1\nU\tC")
	want := []string{"A\tB\ns1\ts2\nT\tA\n#7\tx\n", "C\ns1\nU\tC\n"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("tables %q, want %q", got, want)
	}
}

// TestInstallers makes both installers twice from a file that stands for the agent, and
// reads them with a program that is not ours.
func TestInstallers(t *testing.T) {
	for _, p := range []string{"wixl", "msibuild", "msiinfo"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
	agent := filepath.Join(t.TempDir(), "hozen-agent.exe")
	if err := os.WriteFile(agent, bytes.Repeat([]byte("not really a program. "), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	made := func(version string, l language) (string, []byte) {
		t.Helper()
		m := maker{agent: agent, version: version, source: "../../../agent/packaging/windows", out: t.TempDir()}
		path, err := m.make(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return path, b
	}
	seen := map[string]bool{}
	for _, l := range languages() {
		path, b := made("0.1.0+3.gabc", l)
		if _, again := made("0.1.0+3.gabc", l); !bytes.Equal(b, again) {
			t.Errorf("%s: the same inputs gave another installer", l.code)
		}
		property := info(t, "export", path, "Property")
		for _, want := range []string{"ProductName\t" + l.name, "ProductLanguage\t" + l.lcid, "ProductVersion\t0.1.0", "UpgradeCode\t" + upgradeCode, "MsiHiddenProperties\tENROLLTOKEN;Token", "REBOOT\tReallySuppress"} {
			if !strings.Contains(property, want+"\r\n") {
				t.Errorf("%s: no property %q in\n%s", l.code, want, property)
			}
		}
		for table, want := range map[string]string{
			"ServiceInstall":                 "\trun --service\tAgent\t" + l.description,
			"MsiServiceConfig":               "PreShutdown\thozen-agent\t5\t7\t120000\tAgent",
			"MsiServiceConfigFailureActions": "\t1[~]1[~]1\t5000[~]30000[~]60000\tAgent",
			"CustomAction":                   "Token\t11282\tAgentExe\t",
			"InstallExecuteSequence":         "RemoveExistingProducts\t\t1501\r\n",
			"Registry":                       `#%%SystemRoot%\System32\EventCreate.exe`,
			"Upgrade":                        upgradeCode + "\t\t0.1.0\t\t513\t\tOLDER",
			"Shortcut":                       "Report\tProgramMenuFolder\tHOZENREP|" + l.report + "\tAgent\t[#AgentExe]\treport --ask --lang " + l.code + "\t" + l.reportHint,
			"LaunchCondition":                "NOT NEWER\t" + l.newer,
		} {
			if got := info(t, "export", path, table); !strings.Contains(got, want) {
				t.Errorf("%s: table %s has no %q:\n%s", l.code, table, want, got)
			}
		}
		// A repair, which others than administrators may ask for, runs nothing with their words.
		for line := range strings.Lines(info(t, "export", path, "InstallExecuteSequence")) {
			if f := strings.Split(strings.TrimSpace(line), "\t"); strings.HasPrefix(f[0], "Token") && !strings.HasSuffix(f[1], " AND NOT Installed") {
				t.Errorf("%s: %s runs when %s", l.code, f[0], f[1])
			}
		}
		summary := info(t, "suminfo", path)
		for _, want := range []string{"Template: x64;" + l.lcid, "Version: 500", "Source: 2", "1980"} {
			if !strings.Contains(summary, want) {
				t.Errorf("%s: the summary has no %q:\n%s", l.code, want, summary)
			}
		}
		if bytes.Contains(b, []byte("@")) && strings.Contains(info(t, "export", path, "File"), "@") {
			t.Errorf("%s: a word was not filled in", l.code)
		}
		other, _ := made("0.1.0+4.gabd", l)
		for _, p := range []string{path, other} {
			for line := range strings.Lines(info(t, "export", p, "Property")) {
				if strings.HasPrefix(line, "ProductCode\t") {
					if seen[line] {
						t.Errorf("two installers have the same product code: %s", line)
					}
					seen[line] = true
				}
			}
		}
	}
}

func info(t *testing.T, verb string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "msiinfo", append([]string{verb}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("msiinfo %s %s: %v\n%s", verb, args, err, out)
	}
	return string(out)
}

func TestAMissingToolIsNamed(t *testing.T) {
	t.Setenv("PATH", "")
	if err := tool(context.Background(), ".", "wixl"); err == nil || !strings.Contains(err.Error(), "apt-get install wixl msitools") {
		t.Errorf("error %v", err)
	}
}

func FuzzSettle(f *testing.F) {
	set := append(append([]byte{0xfe, 0xff}, make([]byte, 26)...), summaryFormat...)
	f.Add(append(set, 0x30, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0, 16, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8))
	f.Add([]byte(summaryFormat))
	f.Fuzz(func(t *testing.T, b []byte) {
		size := len(b)
		if err := settle(b, "1041", guid("x")); err != nil && !errors.Is(err, errSummary) {
			t.Errorf("error %v", err)
		}
		if len(b) != size {
			t.Error("the size changed")
		}
	})
}
