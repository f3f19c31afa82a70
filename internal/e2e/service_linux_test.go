package e2e

import (
	"bytes"
	"context"
	"encoding/json"
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
	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
)

// guestPC is a booted guest.
type guestPC struct {
	*machine.Container
	t    *testing.T
	ctx  context.Context
	hall *machine.Hall
	disk *machine.Disk
	host *netlab.Host
}

// newPC boots a guest with more packages than the smallest one; put puts files on its
// disk before.
func newPC(t *testing.T, r machine.Recipe, put func(*machine.Disk) error) *guestPC {
	t.Helper()
	if err := machine.Available(); err != nil {
		t.Skip(err)
	}
	ctx := within(t, 8*time.Minute)
	h, err := machine.NewHall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close the hall: %v", err)
		}
	})
	d, err := h.Disk(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := put(d); err != nil {
		t.Fatal(err)
	}
	p := &guestPC{t: t, ctx: ctx, hall: h, disk: d}
	p.boot()
	return p
}

// boot boots the guest in a network of its own.
func (p *guestPC) boot() {
	p.t.Helper()
	host, err := netlab.NewHost()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { host.Close() })
	m, err := p.hall.Boot(p.ctx, machine.ContainerConfig{Disk: p.disk, Host: host})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := m.Close(); err != nil {
			p.t.Errorf("close the container: %v", err)
		}
	})
	p.Container, p.host = m, host
}

// again switches the guest off and on.
func (p *guestPC) again() {
	p.t.Helper()
	if err := p.Trigger(p.ctx, machine.Poweroff); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.WaitDown(p.ctx); err != nil {
		p.t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		p.t.Fatal(err)
	}
	p.boot()
}

func (p *guestPC) do(cmd ...string) string {
	p.t.Helper()
	out, err := p.Run(p.ctx, cmd...)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func (p *guestPC) property(unit, name string) string {
	p.t.Helper()
	return strings.TrimSpace(p.do("systemctl", "show", "--value", "--property="+name, unit))
}

func (p *guestPC) until(what string, ok func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	err := rig.Until(ctx, what, func() (bool, error) { return ok(), nil })
	if err != nil {
		p.t.Fatal(err)
	}
}

// logIn opens a session of the guest's account that lasts, and waits for it.
func (p *guestPC) logIn(script string) {
	p.t.Helper()
	if err := p.LogIn("alice", script+"\nsleep 1000 & wait"); err != nil {
		p.t.Fatal(err)
	}
	p.until("the session", func() bool {
		out, err := p.Run(p.ctx, "loginctl", "list-sessions", "--no-legend")
		return err == nil && strings.Contains(out, "alice")
	})
}

// files is every name in the guest that an installation could leave, with what
// /etc and systemd's folders hold.
func (p *guestPC) files() []string {
	out := p.do("sh", "-c", `find /etc /usr /var/lib /run/systemd/system /run/hozen ! -path '/var/lib/dpkg/*' ! -path '/var/lib/rpm/*' ! -path '/var/lib/systemd/*' -printf '%p %y %l\n' 2>/dev/null | sort;
		find /etc -type f ! -name '*-' ! -name ld.so.cache -exec sha256sum {} + | sort -k 2`)
	return strings.Split(strings.TrimSpace(out), "\n")
}

// less returns what a has and b has not.
func less(a, b []string) (only []string) {
	in := map[string]bool{}
	for _, s := range b {
		in[s] = true
	}
	for _, s := range a {
		if !in[s] {
			only = append(only, s)
		}
	}
	return only
}

type finding struct {
	ID, Level string
	Args      map[string]string
}

// doctor returns the findings that are not "ok".
func (p *guestPC) doctor() (trouble []finding) {
	p.t.Helper()
	out, err := p.Run(p.ctx, "hozen-agent", "service", "doctor", "--json")
	i := strings.LastIndex(out, "}")
	var said struct {
		Healthy  bool
		Findings []finding
	}
	if i < 0 || json.Unmarshal([]byte(out[:i+1]), &said) != nil {
		p.t.Fatalf("doctor says %q, %v", out, err)
	}
	if said.Healthy != (err == nil) {
		p.t.Errorf("healthy: %t, but it ended with %v", said.Healthy, err)
	}
	for _, f := range said.Findings {
		if f.Level != "ok" {
			trouble = append(trouble, f)
		}
	}
	return trouble
}

// inForce fails unless doctor finds nothing bad. What it warns of is a guest without
// a collector, whose clock is not its own, and what was started by hand.
func (p *guestPC) inForce() {
	p.t.Helper()
	var bad []finding
	ctx, cancel := context.WithTimeout(p.ctx, 15*time.Second)
	defer cancel()
	err := rig.Until(ctx, "a healthy service", func() (bool, error) { // the agent takes its lock after it is ready
		bad = slices.DeleteFunc(p.doctor(), func(f finding) bool {
			return f.Level == "warn" && slices.Contains([]string{"enrolled", "clock", "order_apart"}, f.ID)
		})
		return len(bad) == 0, nil
	})
	if err != nil {
		p.t.Fatalf("not in force: %v\n%s", bad, p.do("journalctl", "--no-pager", "-n", "40"))
	}
}

const sayWhoLives = `[Service]
ExecStop=
ExecStop=/bin/sh -c 'systemctl is-system-running >/var/lib/alive; sleep 1; cat /proc/[0-9]*/cmdline | tr "\\000" "\\n" | grep -a ^1234567 | sort >>/var/lib/alive; systemctl is-active hozen-agent dbus >>/var/lib/alive; loginctl list-sessions --no-legend >>/var/lib/alive; sync'
`

// TestServiceOnSystemd installs by hand on both releases of systemd: what is written
// is in force, repairs itself, goes away without a trace, and comes first when the PC
// goes down.
func TestServiceOnSystemd(t *testing.T) {
	for _, r := range []machine.Recipe{machine.Bookworm(), machine.Trixie()} {
		t.Run(r.Suite, func(t *testing.T) {
			p := newPC(t, r, func(d *machine.Disk) error { return d.Copy("/usr/local/bin/hozen-agent", programs(t).Agent) })
			p.logIn("sleep 1234567.1 & setsid nohup sleep 1234567.2 >/dev/null 2>&1 & systemd-run --user --quiet sleep 1234567.3")
			p.do("systemd-run", "--quiet", "sleep", "1234567.4")
			before := p.files()
			if out := p.do("hozen-agent", "service", "install", "--lang", "en"); !strings.Contains(out, "written: /etc/systemd/system/hozen-agent-shutdown.service") {
				t.Errorf("install does not say what it did:\n%s", out)
			}
			p.do("hozen-agent", "service", "start")
			p.inForce()
			p.takesVolatile()
			if out := p.do("hozen-agent", "service", "install", "--lang", "en"); !strings.Contains(out, "Nothing was changed") {
				t.Errorf("a second install says\n%s", out)
			}
			for _, line := range []string{"session", "user@1000.service", "user-1000.slice"} {
				unit := line
				if line == "session" {
					unit = strings.Fields(p.do("systemctl", "list-units", "--no-legend", "--plain", "session-*.scope"))[0]
				}
				if got := p.property(unit, "Before"); !strings.Contains(got, "hozen-agent-shutdown.service") {
					t.Errorf("%s is Before=%s", unit, got)
				}
			}
			if out := p.do("journalctl", "--no-pager", "--boot"); strings.Contains(out, "ordering cycle") {
				t.Error("the units make an ordering cycle")
			}

			// What nothing orders before the companion is named, and nothing else is.
			p.do("systemd-run", "--quiet", "--unit=by-hand", "sleep", "1234567")
			for _, f := range p.doctor() {
				if units := f.Args["units"]; f.ID == "order_apart" && (!slices.Contains(strings.Fields(units), "by-hand.service") || strings.Contains(units, "session-") || strings.Contains(units, "journald")) {
					t.Errorf("said to stop beside the companion: %s", units)
				}
			}
			if !slices.ContainsFunc(p.doctor(), func(f finding) bool { return f.ID == "order_apart" }) {
				t.Error("a service that was started by hand is not named")
			}
			p.do("systemctl", "stop", "by-hand.service")

			// Each of these is seen, and mended by installing again.
			for id, harm := range map[string]string{
				"file_differs":  "echo >> /etc/systemd/system/user@.service.d/50-hozen-agent.conf",
				"file_missing":  "rm /etc/systemd/system/session-.scope.d/50-hozen-agent.conf",
				"order":         "rm /etc/systemd/system/user@.service.d/50-hozen-agent.conf; systemctl daemon-reload",
				"unit_disabled": "systemctl --quiet disable hozen-agent-isolation.service",
				"unit_inactive": "systemctl stop hozen-agent-shutdown.service",
				"unit_missing":  ": > /etc/systemd/system/hozen-agent-isolation.service; systemctl daemon-reload",
				"delay":         "echo > /etc/systemd/logind.conf.d/50-hozen-agent.conf; systemctl kill -s HUP systemd-logind",
				"state_open":    "chmod 755 /var/lib/hozen",
			} {
				p.do("sh", "-c", harm)
				p.until(id+" to be seen", func() bool {
					return slices.ContainsFunc(p.doctor(), func(f finding) bool { return f.ID == id && f.Level == "bad" })
				})
				if id == "state_open" {
					p.do("chmod", "700", "/var/lib/hozen")
				}
				p.do("hozen-agent", "service", "install")
				p.inForce()
			}
			// Without rights it says what it cannot see.
			if out := p.do("su", "alice", "-c", "hozen-agent service doctor --lang en || true"); !strings.Contains(out, "can be checked by root only") || !strings.Contains(out, "Order of stopping: evidence first") {
				t.Errorf("to others than root doctor says\n%s", out)
			}

			p.do("hozen-agent", "service", "uninstall")
			after := p.files()
			left := slices.DeleteFunc(less(after, before), func(s string) bool { return strings.HasPrefix(s, "/var/lib/hozen") })
			if lost := less(before, after); len(left)+len(lost) > 0 {
				t.Errorf("uninstall left %q and lost %q", left, lost)
			}
			if out := p.do("sh", "-c", `grep -rlaE '"trigger": ?"shutdown"' /var/lib/hozen || true`); out != "" {
				t.Errorf("uninstalling was taken for a shutdown:\n%s", out)
			}
			if out := p.do("hozen-agent", "service", "uninstall", "--lang", "en"); !strings.Contains(out, "nothing to uninstall") {
				t.Errorf("a second uninstall says\n%s", out)
			}
			if out := p.do("sh", "-c", "systemctl list-units --all --no-legend 'hozen-agent*'; systemctl --failed --no-legend"); strings.TrimSpace(out) != "" {
				t.Errorf("systemd still knows\n%s", out)
			}

			// The order of stopping holds on a way down that nobody is told of.
			p.do("hozen-agent", "service", "install")
			p.do("hozen-agent", "service", "start")
			p.do("mkdir", "/etc/systemd/system/hozen-agent-shutdown.service.d")
			p.do("sh", "-c", "cat > /etc/systemd/system/hozen-agent-shutdown.service.d/test.conf <<'E'\n"+sayWhoLives+"E\nsystemctl daemon-reload")
			if err := p.Trigger(p.ctx, machine.IsolateTarget); err != nil {
				t.Fatal(err)
			}
			if _, err := p.WaitDown(p.ctx); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(p.disk.Path("/var/lib/alive"))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"stopping\n", "1234567.1\n", "1234567.2\n", "1234567.3\n", "1234567.4\n", "active\nactive\n", "alice"} {
				if !strings.Contains(string(b), want) {
					t.Errorf("one second into the shutdown there is no %q:\n%s", want, b)
				}
			}
		})
	}
}

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
