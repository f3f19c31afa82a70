package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hozen/internal/e2e/machine"
)

// TestIsolationThroughAPackageUpgrade replaces the package of an isolated PC's agent by a newer
// version, by the older one again, and in two halves between which the agent dies, while packets
// of every kind are sent all the time.
func TestIsolationThroughAPackageUpgrade(t *testing.T) {
	if err := machine.Available(); err != nil {
		t.Skip(err)
	}
	need(t, "make")
	ctx := within(t, 3*patience)
	older, newer := packages(t, "0.9.1"), packages(t, "0.9.2")
	a := newAttackedGuestWith(t, ctx, machine.Bookworm(), agentInGuest, func(d *machine.Disk) error {
		return errors.Join(d.Copy("/root/v1", packageFile(t, older, "*_amd64.deb")), d.Copy("/root/v2", packageFile(t, newer, "*_amd64.deb")))
	}, func(a *attackedGuest) {
		a.do("dpkg", "-i", "/root/v1")
		a.sh("printf '"+strings.ReplaceAll(quick, "\n", `\n`)+"' > /etc/hozen/agent.toml", "systemctl restart hozen-agent")
	})
	a.isolate()
	a.upgrade("`dpkg -i` of a newer version", "0.9.2", "dpkg -i /root/v2")
	a.upgrade("`dpkg -i` of the older one again", "0.9.1", "dpkg -i /root/v1")
	a.upgrade("an upgrade in two halves: unpacked, the agent killed, then configured", "0.9.2",
		"dpkg --unpack /root/v2", "systemctl kill --signal=SIGKILL --kill-who=main hozen-agent", "dpkg --configure -a")
	a.home()
}

// upgrade lets the PC have another version of the agent: nothing passes meanwhile, the new
// program has the collector, and an order is carried out.
func (a *attackedGuest) upgrade(name, version string, commands ...string) {
	a.t.Helper()
	pid := a.do("systemctl", "show", "--value", "--property=MainPID", "hozen-agent")
	a.try(attempt{name: name, do: func() string {
		took := a.sh(commands...)
		a.await(a.t, a.ctx, "the agent of version "+version, func() (bool, error) {
			out, err := a.inside.Run(a.ctx, agentInGuest, "status", "--json")
			return err == nil && strings.Contains(out, version) && a.endpoint(a.t, a.ctx).AgentVersion == version, errors.Join(err, errors.New(out))
		})
		a.awaitConnected(a.t, a.ctx)
		return "another program looks after the rules, in " + took.Round(time.Millisecond).String()
	}})
	if now := a.do("systemctl", "show", "--value", "--property=MainPID", "hozen-agent"); now == pid {
		a.t.Errorf("%s: the agent is the same process %s", name, strings.TrimSpace(now))
	}
	a.stillOrdered()
}
