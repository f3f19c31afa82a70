package e2e

import (
	"context"
	"encoding/json"
	"os"
	"slices"
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
