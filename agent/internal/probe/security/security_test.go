package security

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact/record"
)

func fresh() probe.Probe { return New("/", scan.New(scan.Options{})) }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("name")})
}

func tree(t *testing.T, files map[string]string) facts.Root {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, is := strings.CutPrefix(text, "-> "); is {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := facts.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// out is an Out that is good for Miss alone.
func out() *facts.Out { return new(facts.Out) }

func TestTools(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	r := tree(t, map[string]string{
		"usr/lib/systemd/system/clamav-daemon.service":                     "",
		"etc/systemd/system/multi-user.target.wants/falcon-sensor.service": "-> /usr/lib/systemd/system/falcon-sensor.service",
		"usr/lib/systemd/system/falcon-sensor.service":                     "",
		"usr/lib/systemd/system/auditd.service":                            "",
		"etc/systemd/system/auditd.service":                                "-> /dev/null",
		"etc/systemd/system/multi-user.target.wants/auditd.service":        "-> /usr/lib/systemd/system/auditd.service",
		"opt/eset/efs/sbin/x":                                              "",
		"usr/bin/rkhunter":                                                 "",
	})
	u := unitsOf(r, out())
	procs := []*record.Process{
		{PID: 7, StartTicks: 70, Comm: "freshclam"}, {PID: 8, Comm: "auditd", KernelOnly: true}, {PID: 9, EUID: 1000, Comm: "anything", Exe: "/opt/microsoft/mdatp/sbin/wd"},
		{PID: 10, Comm: "x", Exe: "/opt/microsoft/mdatp-not"},
		{PID: 11, EUID: 1000, Comm: "rkhunter", Exe: "/home/a/rkhunter"}, {PID: 12, EUID: 1000, Comm: "falcon-sensor"}, {PID: 13, EUID: 1000, Comm: "wazuh-agentd", Exe: "/tmp/x"},
		{PID: 14, EUID: 104, Comm: "rsyslogd", Exe: "/usr/sbin/rsyslogd"}, {PID: 15, EUID: 1000, Comm: "x", Exe: "/usr/sbin/usbguard-daemon"},
	}
	got := map[string]*record.SecurityTool{}
	for _, t := range tools() {
		got[t.name] = t.seen(r, u, procs)
	}
	for name, want := range map[string]string{
		"clamav": record.SecurityRunning, "falcon-sensor": record.SecurityInstalled, "auditd": record.SecurityDisabled, "eset": record.SecurityInstalled,
		"mdatp": record.SecurityRunning, "rkhunter": record.SecurityInstalled, "wazuh-agent": record.SecurityAbsent,
		"rsyslog": record.SecurityRunning, "usbguard": record.SecurityAbsent,
	} {
		if got[name].State != want {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	if s := got["clamav"]; !slices.Equal(s.Units, []string{"clamav-daemon.service disabled"}) || len(s.Processes) != 1 || s.Processes[0] != (record.ProcRef{PID: 7, StartTicks: 70}) {
		t.Errorf("%+v", s)
	}
	if s := got["auditd"]; !slices.Equal(s.Units, []string{"auditd.service masked"}) {
		t.Errorf("%+v", s)
	}
	for name, pid := range map[string]uint32{"rkhunter": 11, "falcon-sensor": 12, "wazuh-agent": 13} { // names that a user took
		if s := got[name]; len(s.Processes) != 1 || uint32(s.Processes[0].PID) != pid || !strings.Contains(s.Detail, "of that name only") {
			t.Errorf("%+v", s)
		}
	}
	if s := got["rsyslog"]; s.Detail != "" {
		t.Errorf("%+v", s)
	}
	if s := got["mdatp"]; len(s.Processes) != 1 || s.Processes[0].PID != 9 {
		t.Errorf("%+v", s)
	}
}

func TestTableIsWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, x := range tools() {
		if seen[x.name] || x.category == "" || len(x.processes)+len(x.units)+len(x.paths) == 0 {
			t.Errorf("%+v", x)
		}
		seen[x.name] = true
		for _, p := range x.processes {
			if len(p) == 0 || len(p) > 15 {
				t.Errorf("%s: no kernel shows a process %q", x.name, p)
			}
		}
		for _, p := range x.paths {
			if strings.HasPrefix(p, "/") {
				t.Errorf("%s: %s", x.name, p)
			}
		}
	}
}

func TestKernel(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	r := tree(t, map[string]string{
		"sys/kernel/security/lsm": "lockdown,capability,yama,apparmor", "sys/module/apparmor/parameters/enabled": "Y\n",
		"sys/kernel/security/apparmor/profiles": "a (enforce)\nb (b) (complain)\nc (enforce)\n",
		"sys/kernel/security/lockdown":          "none [integrity] confidentiality\n", "etc/selinux/config": "# x\nSELINUX=disabled\n",
	})
	got := map[string]*record.SecurityTool{}
	for _, s := range kernel(r, out()) {
		got[s.Name] = s
	}
	for name, want := range map[string][2]string{
		"lsm": {record.SecurityRunning, "lockdown,capability,yama,apparmor"}, "apparmor": {record.SecurityRunning, "3 profiles, 2 enforce, 1 complain"},
		"selinux": {record.SecurityDisabled, "configured=disabled"}, "lockdown": {record.SecurityRunning, "integrity"}, "ima": {record.SecurityAbsent, ""},
	} {
		if s := got[name]; s.State != want[0] || s.Mode != want[1] {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for mode, want := range map[string]string{"1": "enforcing", "0": "permissive"} {
		for _, s := range kernel(tree(t, map[string]string{"sys/fs/selinux/enforce": mode}), out()) {
			if s.Name == "selinux" && (s.State != record.SecurityRunning || s.Mode != want) {
				t.Errorf("%+v", s)
			}
		}
	}
}

func TestAuditStatus(t *testing.T) {
	b := make([]byte, 40)
	for i, v := range []uint32{0, 2, 1, 4711, 0, 8192, 5, 3} {
		binary.NativeEndian.PutUint32(b[4*i:], v)
	}
	var s record.SecurityTool
	if err := parseStatus(b, &s); err != nil || s.State != record.SecurityRunning || s.AuditEnabled != 2 || s.AuditPID != 4711 || s.AuditLost != 5 || s.AuditBacklog != 3 || s.Mode != "failure=printk" {
		t.Errorf("%+v, %v", s, err)
	}
	if parseStatus(b[:31], &s) == nil {
		t.Error("a short answer was taken")
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("a (enforce)\nENABLED=\"yes\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := record.SecurityTool{Mode: profiles(b) + setting(b, "ENABLED")}
		_ = parseStatus(b, &s)
		if !json.Valid(s.AppendJSON(nil)) {
			t.Fatal("no JSON")
		}
	})
}
