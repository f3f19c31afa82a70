package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/e2e/machine"
	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
)

// site is a collector on this machine and guests on the other end of a cable, one at
// a time, with the agent installed by its own command and victims to be seen.
type site struct {
	*system
	hall   *machine.Hall
	cable  *netlab.Practice
	scene  *machine.Scene
	base   *machine.Disk // what every guest's disk begins as
	recipe machine.Recipe
	binds  []string // for guests that boot from now on, see machine.ContainerConfig
}

// siteOptions say how a site differs from the usual one.
type siteOptions struct {
	recipe   machine.Recipe // default: Bookworm
	settings string         // more of the agent's configuration
	noAgent  bool           // the guests have none
}

// victim builds the victims' program once for all tests.
var victim = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hozen-victim-")
	if err != nil {
		return "", err
	}
	folders.Lock()
	folders.list = append(folders.list, dir)
	folders.Unlock()
	out := filepath.Join(dir, "victim")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./internal/e2e/machine/victim")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build victim: %w\n%s", err, b)
	}
	return out, nil
})

// newSite makes a site and the disk that its guests begin with.
func newSite(t *testing.T, ctx context.Context, o siteOptions) *site {
	t.Helper()
	if err := machine.Available(); err != nil {
		t.Skip(err)
	}
	if o.recipe.Suite == "" {
		o.recipe = machine.Bookworm()
	}
	s := &site{system: &system{Nursery: rig.NewNursery(), dir: shortDir(t)}, recipe: o.recipe}
	t.Cleanup(func() { must(t, s.Close()) })
	var err error
	s.hall, err = machine.NewHall(ctx)
	must(t, err)
	t.Cleanup(func() { must(t, s.hall.Close()) })
	s.cable, err = netlab.NewPractice(nil)
	must(t, err)
	t.Cleanup(func() { must(t, s.cable.Close()) })
	s.scene, err = machine.NewScene(ctx, s.cable.Outside.At(4, 0))
	must(t, err)
	t.Cleanup(func() { must(t, s.scene.Close()) })

	s.collector, err = s.Init(ctx, rig.CollectorConfig{
		Program: programs(t).Collector, Dir: filepath.Join(s.dir, "collector"), Log: filepath.Join(s.dir, "collector.log"),
		Agents: s.cable.Outside.At(4, 7443),
	})
	must(t, err)
	must(t, s.collector.Serve(ctx))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("collector's log:\n%s", s.collector.LogTail(15))
		}
	})

	s.base, err = s.hall.Disk(ctx, o.recipe)
	must(t, err)
	program, err := victim()
	must(t, err)
	files, err := s.scene.Files(program)
	must(t, err)
	must(t, s.base.Put(append(files, s.scene.Login()...)))
	if o.noAgent {
		return s
	}
	must(t, s.base.Copy(agentInGuest, programs(t).Agent))
	must(t, s.base.Write("/etc/hozen/agent.toml", quick+o.settings, 0o600))
	m, err := s.hall.Boot(ctx, machine.ContainerConfig{Disk: s.base, Host: s.cable.PC})
	must(t, err)
	_, err = m.Run(ctx, agentInGuest, "service", "install")
	must(t, err)
	must(t, m.Trigger(ctx, machine.Poweroff))
	_, err = m.WaitDown(ctx)
	must(t, err)
	must(t, m.Close())
	return s
}

const agentInGuest = "/usr/bin/hozen-agent"

// pc is one guest of a site: a disk, and the boot of it that runs now.
type pc struct {
	*site
	disk    *machine.Disk
	m       *machine.Container
	prepare string // see machine.ContainerConfig
	id      string // the collector's name for it
}

// newPC makes a guest of a disk of its own, boots and enrols it.
func (s *site) newPC(t *testing.T, ctx context.Context, prepare string) *pc {
	t.Helper()
	disk, err := s.hall.Clone(s.base)
	must(t, err)
	s.scene.Forget() // those of the guest before
	p := &pc{site: s, disk: disk, prepare: prepare}
	t.Cleanup(func() {
		if p.m != nil {
			if t.Failed() {
				t.Logf("console:\n%s\nagent:\n%s", p.m.Console(40), p.journal())
			}
			must(t, p.m.Close())
		}
		must(t, s.hall.Discard(disk))
	})
	p.boot(t, ctx)
	if exists(disk.Path(agentInGuest)) {
		p.enroll(t, ctx)
	}
	return p
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// boot boots the disk, once more if it was booted before.
func (p *pc) boot(t *testing.T, ctx context.Context) {
	t.Helper()
	m, err := p.hall.Boot(ctx, machine.ContainerConfig{Disk: p.disk, Host: p.cable.PC, Prepare: p.prepare, Binds: p.binds})
	must(t, err)
	p.m = m
}

func (p *pc) enroll(t *testing.T, ctx context.Context) {
	t.Helper()
	token, err := p.collector.Token(ctx, 1)
	must(t, err)
	_, err = p.m.Feed(ctx, token+"\n", agentInGuest, "enroll", "--token-file", "-", "--timeout", "30s")
	must(t, err)
	p.awaitOnline(t, ctx)
}

// awaitOnline waits until the guest's agent is connected.
func (p *pc) awaitOnline(t *testing.T, ctx context.Context) {
	t.Helper()
	must(t, rig.Until(ctx, "the guest's agent", func() (bool, error) {
		list, err := p.collector.Endpoints(ctx)
		for _, e := range list {
			if e.Hostname == p.m.Name() {
				p.id = e.ID
				return e.Online, err
			}
		}
		return false, err
	}))
}

// victimsUp waits until all victims have their connections.
func (p *pc) victimsUp(t *testing.T, ctx context.Context) {
	t.Helper()
	must(t, p.scene.Await(ctx, machine.Victims()...))
}

// journal returns what the agent logged in the guest, or why it cannot be known.
func (p *pc) journal() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := p.m.Run(ctx, "journalctl", "--no-pager", "--quiet", "--output=short-precise", "--lines=60", "--unit=hozen-agent*", "--unit=systemd-logind")
	if err != nil {
		return err.Error()
	}
	return out
}

// down triggers and waits until the guest is down.
func (p *pc) down(t *testing.T, ctx context.Context, trigger machine.Trigger) (took time.Duration) {
	t.Helper()
	must(t, p.m.Trigger(ctx, trigger))
	soon, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	took, err := p.m.WaitDown(soon)
	must(t, err)
	must(t, p.m.Close())
	return took
}

// sealed returns the newest acquisition of a trigger that lies sealed on the disk of
// a guest that is down, nil when there is none.
func (p *pc) sealed(t *testing.T, trigger artifact.Trigger) (newest *machine.Evidence) {
	t.Helper()
	keys, err := p.collector.EvidenceKeys()
	must(t, err)
	list, err := machine.Spooled(p.disk.Path("/var/lib/hozen"), keys...)
	must(t, err)
	for _, e := range list {
		if e.Manifest.Trigger == trigger && (newest == nil || e.Manifest.StartedAt.Wall.After(newest.Manifest.StartedAt.Wall)) {
			newest = e
		}
	}
	return newest
}

// received waits until the collector has an acquisition of this guest that ok says
// yes to, has hozen-verify check it, and returns it.
func (p *pc) received(t *testing.T, ctx context.Context, what string, ok func(rig.Acquisition) bool) *machine.Evidence {
	t.Helper()
	var found rig.Acquisition
	must(t, rig.Until(ctx, what, func() (bool, error) {
		list, err := p.collector.Acquisitions(ctx, p.id)
		seen := []string{}
		for _, a := range list {
			if ok(a) {
				found = a
				return true, nil
			}
			seen = append(seen, a.Trigger)
		}
		if err == nil {
			err = fmt.Errorf("the collector has [%s]", strings.Join(seen, " "))
		}
		return false, err
	}))
	e, err := machine.ReadEvidence(p.verified(t, ctx, found.ID))
	must(t, err)
	return e
}

// TestSceneIsInTheEvidence is the control of all tests with guests: while the PC is
// up, an ordered acquisition shows every victim, so one that is missing at a shutdown
// is missing because of the shutdown.
func TestSceneIsInTheEvidence(t *testing.T) {
	for _, recipe := range []machine.Recipe{machine.Bookworm(), machine.Trixie()} {
		t.Run(recipe.Suite, func(t *testing.T) {
			ctx := within(t, patience)
			s := newSite(t, ctx, siteOptions{recipe: recipe})
			p := s.newPC(t, ctx, "")
			p.victimsUp(t, ctx)
			begun := time.Now()
			var cmd rig.Command
			must(t, s.collector.Glass().Call(ctx, "command.order", map[string]any{"verb": "acquire", "endpoint": p.id, "reason": "test", "profile": "flash"}, &cmd))
			e := p.received(t, ctx, "the evidence", func(a rig.Acquisition) bool { return a.Trigger == string(artifact.TriggerCommand) })
			if err := s.scene.Missing(e, machine.Victims()...); err != nil {
				t.Errorf("missing in the evidence:\n%v", err)
			}
			if out, err := p.m.Run(ctx, "loginctl", "--no-legend", "list-sessions"); err != nil || !strings.Contains(out, "alice") {
				t.Errorf("alice has no session: %q, %v", out, err)
			}
			t.Logf("ordered, acquired and received in %s; %d processes, %d sockets", time.Since(begun).Round(time.Millisecond), len(e.Processes), len(e.Sockets))
			took := p.down(t, ctx, machine.Poweroff)
			t.Logf("booted in %s, down in %s", p.m.Booted.Round(time.Millisecond), took.Round(time.Millisecond))
		})
	}
}
