package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/internal/e2e/machine"
	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
)

// TestIsolationAttackedByServices has an isolated PC start, restart and stop all that
// looks after a packet filter on Debian, and set accept rules with the kernel's other
// filter. Each by itself means no harm; somebody with root may do it to get out.
func TestIsolationAttackedByServices(t *testing.T) {
	a := newAttackedGuest(t, within(t, 3*patience), machine.Firewalls(machine.Bookworm()))
	a.isolate()
	a.byLegacyTables()
	a.byServices()
	a.byRoutes()
	a.home()
}

// TestIsolationAttackedByDocker does the same with Docker and a container's network.
func TestIsolationAttackedByDocker(t *testing.T) {
	soakOnly(t)
	a := newAttackedGuest(t, within(t, 5*patience), machine.Docker(machine.Bookworm()))
	a.container()
	a.isolate()
	a.byDocker()
	a.home()
}

// The tests TestIsolationVirtualAttackedBy… do it on a kernel that holds no rules: what is
// flushed must be in force again. Each has a guest of its own, whose processor is only played.

func TestIsolationVirtualAttackedByNftables(t *testing.T) {
	attackVirtual(t, (*attackedGuest).byNftables)
}

func TestIsolationVirtualAttackedByUfw(t *testing.T) { attackVirtual(t, (*attackedGuest).byUfw) }

func TestIsolationVirtualAttackedByFirewalld(t *testing.T) {
	attackVirtual(t, (*attackedGuest).byFirewalld)
}

func TestIsolationVirtualAttackedByLegacyTables(t *testing.T) {
	attackVirtual(t, (*attackedGuest).byLegacyTables)
}

func attackVirtual(t *testing.T, by func(*attackedGuest)) {
	t.Helper()
	soakOnly(t)
	ctx := within(t, 3*virtualPatience)
	program := guestProgram(t, ctx)
	p := newVirtualPC(t, ctx, machine.VirtualFirewalls(), 10*time.Second, func(d *machine.Disk) { must(t, d.Copy("/opt/e2e", program)) })
	a := &attackedGuest{inside: p.m, attacked: &attacked{t: t, ctx: ctx, system: p.system}}
	a.id = p.endpoint(t, ctx).ID
	a.rules = func() string { return p.nft(t, ctx, "list table inet hozen\n") }
	f, order := heardFlood(t, way{device: "eth0", local: p.wire.Inside, to: p.wire.Outside})
	order.Beat = 4 * floodBeat // a processor that is only played has other things to do too
	b, err := json.Marshal(order)
	must(t, err)
	p.run(t, ctx, "systemd-run", "--quiet", "--unit=practice-flood", "--setenv="+floodVar+"="+string(b), "/opt/e2e", "-test.run", "^TestFloodFromAGuest$", "-test.timeout", "0")
	a.floods = []*flood{f}
	f.flows(t, ctx)
	a.isolate()
	by(a)
	a.home()
}

// guestProgram builds this test program so that it runs in any guest.
func guestProgram(t *testing.T, ctx context.Context) string {
	t.Helper()
	out := filepath.Join(shortDir(t), "e2e")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-s -w", "-o", out, "hozen/internal/e2e")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the tests: %v\n%s", err, said)
	}
	return out
}

// guestAgent is the agent in a guest that no site has installed.
const guestAgent = "/usr/local/bin/hozen-agent"

// attackedGuest is a PC with a systemd of its own that is attacked from inside.
type attackedGuest struct {
	*attacked
	inside interface {
		Run(ctx context.Context, cmd ...string) (string, error)
	}
}

func newAttackedGuest(t *testing.T, ctx context.Context, recipe machine.Recipe) *attackedGuest {
	t.Helper()
	return newAttackedGuestWith(t, ctx, recipe, guestAgent, func(d *machine.Disk) error {
		return errors.Join(d.Copy(guestAgent, programs(t).Agent), d.Write("/etc/hozen/agent.toml", quick, 0o600))
	}, func(a *attackedGuest) {
		a.do(guestAgent, "service", "install")
		a.do(guestAgent, "service", "start")
	})
}

// newAttackedGuestWith boots a guest on whose disk put puts what install needs, enrols the
// agent that install has started, and floods.
func newAttackedGuestWith(t *testing.T, ctx context.Context, recipe machine.Recipe, program string, put func(*machine.Disk) error, install func(*attackedGuest)) *attackedGuest {
	t.Helper()
	need(t, "nft")
	need(t, "ip")
	s := newSite(t, ctx, siteOptions{recipe: recipe, noAgent: true})
	if !s.cable.Outside.V6.IsValid() {
		t.Skip("this kernel has no IPv6")
	}
	must(t, put(s.base))
	p := s.newPC(t, ctx, "")
	a := &attackedGuest{inside: p.m, attacked: &attacked{t: t, ctx: ctx, system: s.system, lab: rig.NewNursery(), pc: &rig.PracticePC{Practice: s.cable}}}
	a.rules = a.rulesHere
	t.Cleanup(func() { a.lab.Close() })
	install(a)
	token, err := s.collector.Token(ctx, 1)
	must(t, err)
	_, err = p.m.Feed(ctx, token+"\n", program, "enroll", "--token-file", "-", "--timeout", "30s")
	must(t, err)
	p.awaitOnline(t, ctx)
	a.id = p.id
	a.floods = []*flood{startFlood(t, way{from: a.pc.PC, device: "eth0", local: a.pc.Inside, to: a.pc.Outside})}
	a.floods[0].flows(t, ctx)
	return a
}

// do runs a program as root inside.
func (a *attackedGuest) do(cmd ...string) string {
	a.t.Helper()
	out, err := a.inside.Run(a.ctx, cmd...)
	must(a.t, err)
	return out
}

// sh runs commands as root inside, one by one, and says how long they took.
func (a *attackedGuest) sh(commands ...string) (took time.Duration) {
	a.t.Helper()
	began := time.Now()
	for _, c := range commands {
		a.do("sh", "-e", "-c", c)
	}
	return time.Since(began)
}

// attempts lets each command of a list be an attack of its own. Those that flush all
// rules take ours with them where the kernel lets anybody do that.
func (a *attackedGuest) attempts(what string, commands ...string) {
	a.t.Helper()
	for _, c := range commands {
		a.try(attempt{name: "`" + c + "`", tampers: strings.HasSuffix(c, " nftables"), do: func() string {
			return fmt.Sprintf("%s, in %s", what, a.sh(c).Round(time.Millisecond))
		}})
	}
	a.stillOrdered()
}

// stillOrdered shows that the collector still reaches the PC: an order is carried out.
func (a *attackedGuest) stillOrdered() {
	a.t.Helper()
	a.isolate()
	a.awaitState("isolated")
}

// byLegacyTables uses ip_tables, whose hooks are beside those of nf_tables.
func (a *attackedGuest) byLegacyTables() {
	a.t.Helper()
	chains := map[string][]string{
		"raw": {"PREROUTING", "OUTPUT"}, "mangle": {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"},
		"nat": {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}, "filter": {"INPUT", "FORWARD", "OUTPUT"}, "security": {"INPUT", "FORWARD", "OUTPUT"},
	}
	var open, shut strings.Builder // what iptables-restore(8) reads; it flushes each table first
	for _, table := range slices.Sorted(maps.Keys(chains)) {
		fmt.Fprintf(&shut, "*%s\nCOMMIT\n", table)
		fmt.Fprintf(&open, "*%s\n", table)
		for _, chain := range chains[table] {
			fmt.Fprintf(&open, ":%s ACCEPT\n-A %[1]s -j ACCEPT\n", chain)
		}
		open.WriteString("COMMIT\n")
	}
	restore := func(rules string) {
		for _, program := range []string{"iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft"} {
			a.sh(program + "-restore <<'END'\n" + rules + "END")
		}
	}
	const name = "iptables-legacy and iptables-nft, of IPv4 and IPv6: all five tables flushed, policy ACCEPT and an accept rule in every chain"
	a.try(attempt{name: name, do: func() string {
		restore(open.String())
		if out := a.do("iptables-legacy", "-t", "filter", "-S"); !strings.Contains(out, "-A OUTPUT -j ACCEPT") {
			a.t.Errorf("%s: there is no such rule:\n%s", name, out)
		}
		return "no effect: what nf_tables drops is dropped"
	}})
	a.stillOrdered()
	restore(shut.String())
}

// besides is what comes of programs that make tables of their own.
const besides = "its tables come and go beside ours"

// byServices starts, restarts and stops what looks after a packet filter.
func (a *attackedGuest) byServices() {
	a.t.Helper()
	a.byNftables()
	a.byUfw()
	a.byFirewalld()
}

func (a *attackedGuest) byNftables() {
	a.t.Helper()
	if a.held {
		const by = "flushes all rules and passes our tables by"
		a.attempts(by, "systemctl start nftables", "systemctl reload nftables", "systemctl restart nftables", "systemctl stop nftables")
	} else { // a restart is two gaps, both of them tried
		a.attempts("flushes all rules; in force again", "systemctl start nftables", "systemctl reload nftables", "systemctl stop nftables")
	}
}

func (a *attackedGuest) byUfw() {
	a.t.Helper()
	a.attempts(besides, "ufw --force enable", "ufw reload", "ufw disable")
}

func (a *attackedGuest) byFirewalld() {
	a.t.Helper()
	a.attempts(besides, "systemctl start firewalld", "firewall-cmd --reload", "firewall-cmd --panic-on; firewall-cmd --panic-off", "systemctl stop firewalld")
}

// byRoutes takes the collector away from the PC, and gives it back.
func (a *attackedGuest) byRoutes() {
	a.t.Helper()
	a.try(attempt{name: "`ip route add unreachable` to the collector, agent restarted, route deleted", do: func() string {
		to := a.pc.Outside.V4.String()
		a.ip(a.pc.PC, "route", "add", "unreachable", to)
		a.sh("systemctl restart hozen-agent")
		a.await(a.t, a.ctx, "the agent to say that it is isolated", func() (bool, error) {
			out, err := a.inside.Run(a.ctx, guestAgent, "isolation", "status", "--json")
			return err == nil && strings.Contains(out, `"observed": "isolated"`), errors.Join(err, errors.New(out))
		})
		<-time.After(20 * floodBeat)
		a.ip(a.pc.PC, "route", "del", "unreachable", to)
		a.awaitConnected(a.t, a.ctx)
		return "isolated without a collector; connected again when the route is gone"
	}})
	a.stillOrdered()
}

// byDocker restarts Docker and makes networks with it.
func (a *attackedGuest) byDocker() {
	a.t.Helper()
	const besides = besides + "; forwarding is cut"
	a.attempts(besides, "systemctl restart docker")
	a.try(attempt{name: "`docker network create`", records: "drift", do: func() string {
		return "the new bridge is covered as it appears, in " + a.sh("docker network create more").Round(time.Millisecond).String()
	}})
	a.attempts(besides, "systemctl stop docker docker.socket", "systemctl start docker")
}

// container starts Docker and lays a cable to its bridge, as it does for a container:
// out go IPv4 with Docker's address translation, and IPv6 with an address of the PC's
// own network.
func (a *attackedGuest) container() {
	a.t.Helper()
	pc := a.pc.PC
	for _, s := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		must(a.t, pc.Sysctl(s, "1")) // inside it is read only
	}
	a.sh("systemctl start docker")
	child, pid := a.host()
	a.ip(pc, "link", "add", "veth0", "type", "veth", "peer", "name", "inner0")
	a.ip(pc, "link", "set", "inner0", "netns", pid)
	a.ip(pc, "link", "set", "veth0", "master", "docker0", "up")
	inner := netlab.Addrs{V4: netip.MustParseAddr("172.17.0.200"), V6: a.near(78).V6}
	a.address(child, "inner0", inner, 16, 128)
	a.ip(child, "-4", "route", "add", "default", "via", "172.17.0.1")
	a.ip(child, "-6", "route", "add", "default", "dev", "inner0")
	a.ip(pc, "-6", "route", "add", inner.V6.String(), "dev", "docker0")
	must(a.t, errors.Join(pc.Sysctl("net.ipv6.conf.docker0.disable_ipv6", "0"), pc.Sysctl("net.ipv6.conf.docker0.proxy_ndp", "1")))
	a.ip(pc, "-6", "neigh", "add", "proxy", a.pc.Outside.V6.String(), "dev", "docker0")
	var hop net.HardwareAddr
	must(a.t, pc.Do(func() error {
		d, err := net.InterfaceByName("docker0")
		if err == nil {
			hop = d.HardwareAddr
		}
		return err
	}))
	f := startFlood(a.t, way{from: child, device: "inner0", local: inner, to: a.pc.Outside, hop: hop})
	f.flows(a.t, a.ctx)
	a.floods = append(a.floods, f)
}

// home releases the PC and looks whether all is as before.
func (a *attackedGuest) home() {
	a.t.Helper()
	a.release()
	a.floods[0].flows(a.t, a.ctx)
	a.print()
	a.clean(a.t, a.ctx)
}
