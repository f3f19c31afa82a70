package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hozen/internal/e2e/machine"
)

// packages builds the packages of a version.
func packages(t *testing.T, version string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.CommandContext(within(t, 5*time.Minute), "make", "--silent", "packages-linux", "PACKAGES="+dir, "VERSION="+version,
		"COMMIT=test", "BUILT=2026-01-02T03:04:05Z", "EPOCH=1767323045")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make packages: %v\n%s", err, out)
	}
	return dir
}

func packageFile(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err = errors.Join(err); err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

// TestPackagesAreReproducible builds them twice and looks into them with other programs.
func TestPackagesAreReproducible(t *testing.T) {
	need(t, "make")
	one, two := packages(t, "0.9.1"), packages(t, "0.9.1")
	list, err := os.ReadDir(one)
	if err != nil || len(list) != 4 {
		t.Fatalf("packages: %v, %v", list, err)
	}
	for _, e := range list {
		a, err := os.ReadFile(filepath.Join(one, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(two, e.Name()))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is not the same twice (%v)", e.Name(), err)
		}
	}
	need(t, "rpm")
	for _, arch := range []string{"x86_64", "aarch64"} {
		rpm, _, code := command(t, "rpm", "-qp", "--queryformat", "[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}\n]%{ARCH} %{VERSION}\n", packageFile(t, one, "*."+arch+".rpm"))
		if code != 0 || !strings.HasSuffix(rpm, arch+" 0.9.1\n") {
			t.Errorf("rpm says %d\n%s", code, rpm)
		}
		for _, want := range []string{"/usr/bin/hozen-agent -rwxr-xr-x root\n", "/etc/hozen/agent.toml -rw-r--r-- root\n", "/usr/lib/systemd/system/hozen-agent-shutdown.service -rw-r--r-- root\n"} {
			if !strings.Contains(rpm, want) {
				t.Errorf("no %q in\n%s", want, rpm)
			}
		}
	}
}

// newPCWith boots a guest with two versions of the packages in /root.
func newPCWith(t *testing.T, r machine.Recipe, pattern string) *guestPC {
	t.Helper()
	if err := machine.Available(); err != nil {
		t.Skip(err)
	}
	need(t, "make")
	v1, v2 := packages(t, "0.9.1"), packages(t, "0.9.2")
	return newPC(t, r, func(d *machine.Disk) error {
		return errors.Join(d.Copy("/root/v1", packageFile(t, v1, pattern)), d.Copy("/root/v2", packageFile(t, v2, pattern)))
	})
}

// upgraded checks what must hold when v1 became v2 under a running agent.
func (p *guestPC) upgraded(upgrade ...string) {
	p.t.Helper()
	armed, pid := p.property("hozen-agent-shutdown.service", "ActiveEnterTimestampMonotonic"), p.property("hozen-agent", "MainPID")
	p.do(upgrade...)
	p.inForce()
	if got := p.property("hozen-agent-shutdown.service", "ActiveEnterTimestampMonotonic"); got != armed {
		p.t.Errorf("the shutdown unit was stopped by an upgrade: armed at %s, then at %s", armed, got)
	}
	if got := p.property("hozen-agent", "MainPID"); got == pid || got == "0" {
		p.t.Errorf("the agent's process was %s and is %s after an upgrade", pid, got)
	}
	if out := p.do("hozen-agent", "status", "--json"); !strings.Contains(out, "0.9.2") {
		p.t.Errorf("after the upgrade runs\n%s", out)
	}
}

// removed checks that a removed package left its evidence and nothing else.
func (p *guestPC) removed(before []string, but ...string) {
	p.t.Helper()
	after := p.files()
	left := slices.DeleteFunc(less(after, before), func(s string) bool {
		return strings.HasPrefix(s, "/var/lib/hozen") || slices.ContainsFunc(but, func(b string) bool { return strings.Contains(s, b) })
	})
	if lost := less(before, after); len(left)+len(lost) > 0 {
		p.t.Errorf("removing left %q and lost %q", left, lost)
	}
	p.do("test", "-d", "/var/lib/hozen/identity")
	if out := p.do("sh", "-c", "systemctl list-units --all --no-legend 'hozen-agent*'"); strings.TrimSpace(out) != "" {
		p.t.Errorf("systemd still knows\n%s", out)
	}
}

// TestDebianPackage installs, upgrades, disables, removes and purges.
func TestDebianPackage(t *testing.T) {
	p := newPCWith(t, machine.Bookworm(), "*_amd64.deb")
	before := p.files()
	// An installation by hand gives way to the package.
	p.do("sh", "-c", "dpkg --fsys-tarfile /root/v1 | tar -xO ./usr/bin/hozen-agent >/usr/bin/hozen-agent && chmod 755 /usr/bin/hozen-agent && hozen-agent service install && hozen-agent service start")
	p.do("dpkg", "-i", "/root/v1")
	p.inForce()
	if out := p.do("sh", "-c", "ls /etc/systemd/system | grep hozen || true"); out != "" {
		t.Errorf("copies hide the package's units:\n%s", out)
	}
	p.do("sh", "-c", "echo '# mine' >> /etc/hozen/agent.toml")
	p.upgraded("dpkg", "-i", "/root/v2")
	if out := p.do("cat", "/etc/hozen/agent.toml"); !strings.Contains(out, "# mine") {
		t.Error("an upgrade replaced the administrator's settings")
	}

	p.do("systemctl", "--quiet", "disable", "--now", "hozen-agent")
	p.do("dpkg", "-i", "/root/v2")
	if got := p.property("hozen-agent", "UnitFileState") + " " + p.property("hozen-agent", "ActiveState"); got != "disabled inactive" {
		t.Errorf("disabled by an administrator, it is %s after an upgrade", got)
	}
	p.do("systemctl", "--quiet", "enable", "--now", "hozen-agent")

	p.isolatedStays([]string{"dpkg", "-r", "hozen-agent"})
	p.removed(before, "/etc/hozen")
	p.do("dpkg", "-i", "/root/v1")
	p.inForce()
	p.do("dpkg", "-r", "hozen-agent")
	if out := p.do("dpkg", "-P", "hozen-agent"); !strings.Contains(out, "stay in /var/lib/hozen") {
		t.Errorf("purging says\n%s", out)
	}
	p.removed(before)
}

// isolatedStays isolates the PC, which keeps its agent when that is to be removed, and
// tells whoever signs in; then it is released and removed.
func (p *guestPC) isolatedStays(remove []string) {
	p.t.Helper()
	p.logIn("true")
	alice := func(args string) string {
		out, err := p.Run(p.ctx, "su", "alice", "-c", "XDG_RUNTIME_DIR=/run/user/1000 systemctl --user "+args)
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(out)
	}
	p.until("a manager of alice's that looks for notices", func() bool { return alice("is-active hozen-agent-notice.path") == "active" })
	// A record that is lost where isolation is known keeps the PC closed.
	p.do("sh", "-c", "systemctl stop hozen-agent; rm -f /var/lib/hozen/isolation/isolation.record; : > /var/lib/hozen/isolation/isolation.marker")
	refused := func(why string) {
		p.t.Helper()
		out, err := p.Run(p.ctx, remove...)
		if err == nil || !strings.Contains(out, "HOZEN_RELEASE=1") || !strings.Contains(out, "uninstall --release") {
			p.t.Fatalf("removing it from an isolated PC, %s: %v\n%s", why, err, out)
		}
		p.do("test", "-x", "/usr/bin/hozen-agent")
	}
	refused("without an agent")
	if out, err := p.Run(p.ctx, "hozen-agent", "isolation", "status", "--lang", "en"); !strings.Contains(out, "record of the order is lost") {
		p.t.Errorf("isolation status says %v\n%s", err, out)
	}
	p.do("systemctl", "start", "hozen-agent")
	p.until("the isolation", func() bool {
		out, err := p.Run(p.ctx, "hozen-agent", "isolation", "status", "--json")
		return err == nil && strings.Contains(out, `"observed": "isolated"`)
	})
	refused("with an agent that holds the rules")
	p.until("the notice", func() bool {
		out, err := p.Run(p.ctx, "cat", "/etc/issue.d/60-hozen-agent.issue", "/run/motd.d/60-hozen-agent")
		return err == nil && strings.Count(out, "NETWORK ISOLATED") == 2
	})
	p.until("alice's manager to show it", func() bool {
		n, err := strconv.Atoi(alice("show --value --property=ExecMainExitTimestampMonotonic hozen-agent-notice.service"))
		return err == nil && n > 0
	})
	for _, cmd := range []string{"script -qc 'agetty --show-issue' /dev/null", "su alice -c 'hozen-agent isolation status --lang en'"} {
		if out, err := p.Run(p.ctx, "sh", "-c", cmd); err != nil || !strings.Contains(strings.ToUpper(out), "ISOLATED") {
			p.t.Errorf("%s: %v\n%s", cmd, err, out)
		}
	}
	out := p.do("sh", "-c", "HOZEN_RELEASE=1 "+strings.Join(remove, " "))
	if !strings.Contains(out, "not isolated") && !strings.Contains(out, "隔離していません") {
		p.t.Errorf("releasing and removing says\n%s", out)
	}
	if _, err := p.Run(p.ctx, "sh", "-c", "test -e /run/motd.d/60-hozen-agent || test -e /etc/issue.d"); err == nil {
		p.t.Error("the notice is left")
	}
	if rules, err := p.rules(); err != nil || strings.Contains(rules, "hozen") {
		p.t.Errorf("rules are left: %v\n%s", err, rules)
	}
}

// TestRPMPackage does the same with rpm.
func TestRPMPackage(t *testing.T) {
	r := machine.Bookworm()
	r.Packages = append(slices.Clone(r.Packages), "rpm")
	p := newPCWith(t, r, "*.x86_64.rpm")
	p.do("rpm", "--initdb")
	// Where rpm is at home the package "filesystem" owns it; rpm leaves folders that no package owns.
	p.do("mkdir", "-p", "/usr/share/applications")
	before := p.files()
	p.do("rpm", "-i", "--nodeps", "/root/v1")
	p.inForce()
	p.upgraded("rpm", "-U", "--nodeps", "/root/v2")
	p.do("systemctl", "--quiet", "disable", "--now", "hozen-agent")
	p.do("rpm", "-U", "--nodeps", "--force", "/root/v2")
	if got := p.property("hozen-agent", "UnitFileState") + " " + p.property("hozen-agent", "ActiveState"); got != "disabled inactive" {
		t.Errorf("disabled by an administrator, it is %s after an upgrade", got)
	}
	p.do("systemctl", "--quiet", "enable", "--now", "hozen-agent")
	p.isolatedStays([]string{"rpm", "-e", "hozen-agent"})
	p.removed(before)
	p.do("rpm", "-i", "--nodeps", "/root/v2")
	p.inForce()
	if out := p.do("rpm", "-e", "hozen-agent"); !strings.Contains(out, "stay in /var/lib/hozen") {
		t.Errorf("removing says\n%s", out)
	}
	p.removed(before)
}

// TestIsolatedBeforeTheNetwork switches an isolated PC on again: its rules are there
// before anything may set up a network device.
func TestIsolatedBeforeTheNetwork(t *testing.T) {
	need(t, "nft")
	p := newPC(t, machine.Bookworm(), func(d *machine.Disk) error { return d.Copy("/usr/local/bin/hozen-agent", programs(t).Agent) })
	p.do("hozen-agent", "service", "install")
	p.do("hozen-agent", "service", "start")
	if got := p.property("hozen-agent-isolation.service", "ActiveState"); got != "inactive" {
		t.Errorf("on a PC that never was isolated the unit is %s", got)
	}
	// A marker without a record: isolation was ordered, and how is lost. That is closed.
	p.do("systemctl", "stop", "hozen-agent")
	p.do("sh", "-c", "echo damaged > /var/lib/hozen/isolation/isolation.marker; sync")
	p.again()
	p.do("systemctl", "--quiet", "is-active", "hozen-agent-isolation.service", "network-pre.target")
	at := func(unit string) int {
		t.Helper()
		n, err := strconv.Atoi(p.property(unit, "ActiveEnterTimestampMonotonic"))
		if err != nil || n == 0 {
			t.Fatalf("%s: active since %d, %v", unit, n, err)
		}
		return n
	}
	if rules, network, agent := at("hozen-agent-isolation.service"), at("network-pre.target"), at("hozen-agent.service"); rules > network || rules > agent {
		t.Errorf("isolated %d µs after the start, network from %d on, agent at %d", rules, network, agent)
	}
	p.closed()
	p.do("systemctl", "restart", "hozen-agent")
	p.closed()
	// The unit's program dies, and the agent does not come: closed all the same, and before
	// the network.
	p.do("systemctl", "--quiet", "disable", "hozen-agent")
	p.do("mkdir", "-p", "/etc/systemd/system/hozen-agent-isolation.service.d")
	p.do("sh", "-c", `printf '[Service]\nExecStart=\nExecStart=/bin/sh -c "kill -SEGV \$\$"\n' > /etc/systemd/system/hozen-agent-isolation.service.d/test.conf; sync`)
	p.again()
	if got := p.property("hozen-agent-isolation.service", "Result") + " " + p.property("hozen-agent", "ActiveState"); !strings.HasSuffix(got, " inactive") || strings.HasPrefix(got, "success") {
		t.Errorf("unit and agent are %s", got)
	}
	p.closed()
	failed, err := strconv.Atoi(p.property("hozen-agent-isolation.service", "InactiveEnterTimestampMonotonic"))
	if network := at("network-pre.target"); err != nil || failed == 0 || failed > network {
		t.Errorf("cut %d µs after the start, network from %d on, %v", failed, network, err)
	}
	// Taking the program away opens nothing, unless that is said.
	if out, err := p.Run(p.ctx, "hozen-agent", "service", "uninstall", "--lang", "en"); err == nil || !strings.Contains(out, "--release") {
		t.Errorf("uninstalling from an isolated PC: %v\n%s", err, out)
	}
	p.closed()
	p.do("hozen-agent", "service", "uninstall", "--release")
	if rules, err := p.rules(); err != nil || strings.Contains(rules, "hozen") {
		t.Errorf("released and uninstalled, in the kernel stand %v\n%s", err, rules)
	}
}

// rules is what the kernel enforces in the guest.
func (p *guestPC) rules() (rules string, err error) {
	err = p.host.Do(func() error {
		b, err := exec.CommandContext(p.ctx, "nft", "list", "ruleset").CombinedOutput()
		rules = string(b)
		return err
	})
	return rules, err
}

// closed fails unless the kernel drops what is not allowed.
func (p *guestPC) closed() {
	p.t.Helper()
	rules, err := p.rules()
	if err != nil || !strings.Contains(rules, "policy drop") {
		p.t.Errorf("in the kernel stand %v\n%s\n%s", err, rules, p.do("journalctl", "--no-pager", "-u", "hozen-agent-isolation"))
	}
}
