package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/e2e/machine"
	"hozen/internal/e2e/rig"
)

// virtualPatience is what a virtual machine may take for one boot and one way down: its
// processor is played by this machine's, which others use too.
const virtualPatience = 4 * time.Minute

// down is one way down in a chain and what the next boot must make of it.
type down struct {
	trigger machine.Trigger
	verdict string
	// isolated: the PC is cut off before it goes down and must come up so.
	isolated bool
}

// TestVirtualPC switches a PC with a kernel of its own off by its button, by three keys,
// by force, off without any warning, and takes its power away while it is isolated.
func TestVirtualPC(t *testing.T) {
	chain(t, machine.VirtualBookworm(), 2*time.Second,
		down{trigger: machine.PowerButton, verdict: record.BootCleanWithCapture},
		down{trigger: machine.CtrlAltDel, verdict: record.BootCleanWithCapture},
		down{trigger: machine.Force, verdict: record.BootForced},
		down{trigger: machine.ForceForce, verdict: record.BootAbrupt},
		down{trigger: machine.PowerLoss, verdict: record.BootAbrupt, isolated: true})
}

// TestVirtualPCOtherWays is the same with the recorder's usual interval.
func TestVirtualPCOtherWays(t *testing.T) {
	soakOnly(t)
	chain(t, machine.VirtualBookworm(), 10*time.Second,
		down{trigger: machine.CtrlAltDel, verdict: record.BootCleanWithCapture},
		down{trigger: machine.Force, verdict: record.BootForced},
		down{trigger: machine.PowerLoss, verdict: record.BootAbrupt})
}

// TestVirtualPCNewSystemd is the same on systemd 257, whose release keeps no wtmp.
func TestVirtualPCNewSystemd(t *testing.T) {
	soakOnly(t)
	chain(t, machine.VirtualTrixie(), 2*time.Second,
		down{trigger: machine.PowerButton, verdict: record.BootCleanWithCapture},
		down{trigger: machine.CtrlAltDel, verdict: record.BootCleanWithCapture},
		down{trigger: machine.PowerLoss, verdict: record.BootAbrupt})
}

// TestVirtualPCButtonManyTimes and TestVirtualPCKeysManyTimes show that the ways down
// that leave time for evidence leave all of it, every time.
func TestVirtualPCButtonManyTimes(t *testing.T) { manyTimes(t, machine.PowerButton) }

func TestVirtualPCKeysManyTimes(t *testing.T) { manyTimes(t, machine.CtrlAltDel) }

func manyTimes(t *testing.T, trigger machine.Trigger) {
	t.Helper()
	soakOnly(t)
	const times = 20
	way := down{trigger: trigger, verdict: record.BootCleanWithCapture}
	chain(t, machine.VirtualBookworm(), 2*time.Second, slices.Repeat([]down{way}, times)...)
}

func soakOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("HOZEN_SOAK") == "" {
		t.Skip("takes minutes: part of make soak")
	}
}

// chain boots a PC, brings it down in one way after the other and looks each time at
// what the evidence of its end is.
func chain(t *testing.T, recipe machine.Recipe, every time.Duration, ways ...down) {
	ctx := within(t, time.Duration(len(ways)+1)*virtualPatience)
	p := newVirtualPC(t, ctx, recipe, every)
	orderly, again := 0, false
	for i := 0; i < len(ways); i++ {
		way := ways[i]
		p.logIn(t, ctx)
		if way.isolated {
			p.cutOff(t, ctx)
		}
		if way.trigger.Orderly() && orderly == 0 {
			p.report(t, ctx)
		}
		pid := strings.TrimSpace(p.run(t, ctx, "sh", "-c", "echo $$"))
		truth, old := p.scene.Snapshot(), p.bootID(t, ctx)
		end := p.goDown(t, ctx, way.trigger, every)
		p.boot(t, ctx)
		if way.trigger == machine.PowerLoss && strings.Contains(p.run(t, ctx, "sh", "-c", "cat "+end.file+" || :"), "lost") {
			t.Error("what was not synced is there after a power cut: it was none")
		}
		if way.isolated {
			p.cameUpIsolated(t, ctx)
			p.giveBack(t, ctx)
		}
		e := p.received(t, ctx, artifact.TriggerBoot, i+1)
		p.judged(t, e, way, old)
		newest, beat := p.flight(t, e, old, pid)
		if !way.trigger.Orderly() {
			// This test's own commands make entries too; a PC on which nothing happens has the
			// recorder's sign of life alone.
			age := end.at.Sub(beat)
			t.Logf("%s: the newest entry of the flight recorder is %s old, its newest sign of life %s", way.trigger, end.at.Sub(newest).Round(time.Millisecond), age.Round(time.Millisecond))
			if limit := every + time.Second + end.slow; age > limit {
				t.Errorf("%s: the flight recorder's newest sign of life is %s old, want at most %s", way.trigger, age, limit)
			}
			continue
		}
		orderly++
		s := p.received(t, ctx, artifact.TriggerShutdown, orderly)
		err := truth.Missing(s, machine.Victims()...)
		if o, _ := s.Probe(artifact.KindProcess); err != nil && o.Outcome == artifact.TimedOut && !again {
			// Others keep this machine so busy that the guest has next to no processor: the
			// evidence says itself that it is not all, and the same is tried once more.
			t.Logf("%s: with a round trip of %s to the guest there was no time for all processes: %s", way.trigger, end.slow, o.Detail)
			again, ways = true, slices.Insert(ways, i+1, way)
			continue
		}
		if err != nil {
			t.Errorf("%s: the evidence is %s; missing in it:\n%v", way.trigger, s.Manifest.Outcome, err)
		}
	}
	p.clean(t, ctx)
}

// virtualPC is a virtual machine with the agent, and a collector on the other end of
// its wire.
type virtualPC struct {
	*system
	hall  *machine.Hall
	wire  *machine.Wire
	scene *machine.Scene
	disk  *machine.Disk
	m     *machine.Virtual
	one   bool // it has one processor
	ram   int  // MiB; 0: as much as is usual
}

func newVirtualPC(t *testing.T, ctx context.Context, recipe machine.Recipe, every time.Duration, more ...func(*machine.Disk)) *virtualPC {
	t.Helper()
	return newVirtualPCOf(t, ctx, 0, recipe, every, more...)
}

// newVirtualPCOf makes one with so many MiB of memory.
func newVirtualPCOf(t *testing.T, ctx context.Context, ram int, recipe machine.Recipe, every time.Duration, more ...func(*machine.Disk)) *virtualPC {
	t.Helper()
	if err := machine.VirtualAvailable(); err != nil {
		t.Skip(err)
	}
	p := &virtualPC{system: &system{Nursery: rig.NewNursery(), dir: shortDir(t)}, one: recipe.Suite == machine.Trixie().Suite, ram: ram}
	t.Cleanup(func() { must(t, p.Close()) })
	var err error
	p.hall, err = machine.NewHall(ctx)
	must(t, err)
	t.Cleanup(func() { must(t, p.hall.Close()) })
	p.wire, err = machine.NewWire(nil)
	must(t, err)
	t.Cleanup(func() { must(t, p.wire.Close()) })
	p.scene, err = machine.NewScene(ctx, p.wire.Outside.At(4, 0))
	must(t, err)
	t.Cleanup(func() { must(t, p.scene.Close()) })
	p.collector, err = p.Init(ctx, rig.CollectorConfig{
		Program: programs(t).Collector, Dir: filepath.Join(p.dir, "collector"), Log: filepath.Join(p.dir, "collector.log"),
		Agents: p.wire.Outside.At(4, 7443),
	})
	must(t, err)
	must(t, p.collector.Serve(ctx))

	p.disk, err = p.hall.Disk(ctx, recipe)
	must(t, err)
	program, err := victim()
	must(t, err)
	files, err := p.scene.Files(program)
	must(t, err)
	must(t, p.disk.Put(files))
	must(t, p.disk.Copy(agentInGuest, programs(t).Agent))
	giveNft(t, p.disk)
	for _, put := range more {
		put(p.disk)
	}
	must(t, p.disk.Write("/etc/hozen/agent.toml", fmt.Sprintf("%s[recorder]\nevery = %q\n", quick, every), 0o600))
	t.Cleanup(func() {
		if p.m == nil {
			return
		}
		if t.Failed() {
			t.Logf("console:\n%s\nagent:\n%s\ncollector:\n%s", p.m.Console(15), p.journal(), p.collector.LogTail(10))
		}
		must(t, p.m.Close())
	})
	p.start(t, ctx)
	began := time.Now()
	p.run(t, ctx, agentInGuest, "service", "install")
	p.run(t, ctx, agentInGuest, "service", "start")
	token, err := p.collector.Token(ctx, 1)
	must(t, err)
	_, err = p.m.Feed(ctx, token+"\n", agentInGuest, "enroll", "--token-file", "-", "--timeout", "60s")
	must(t, err)
	p.awaitConnected(t, ctx)
	t.Logf("agent installed and enrolled in %s", time.Since(began).Round(time.Millisecond))
	return p
}

// start boots the PC and waits until its systemd has started everything.
func (p *virtualPC) start(t *testing.T, ctx context.Context) {
	t.Helper()
	p.scene.Forget()
	m, err := p.hall.BootVirtual(ctx, machine.VirtualConfig{Disk: p.disk, Wire: p.wire, OneProcessor: p.one, Memory: p.ram})
	must(t, err)
	p.m = m
	t.Logf("booted in %s", m.Booted.Round(time.Millisecond))
}

// boot boots the PC once more and waits until its agent is connected.
func (p *virtualPC) boot(t *testing.T, ctx context.Context) {
	t.Helper()
	p.start(t, ctx)
	p.awaitConnected(t, ctx)
}

func (p *virtualPC) run(t *testing.T, ctx context.Context, cmd ...string) string {
	t.Helper()
	out, err := p.m.Run(ctx, cmd...)
	must(t, err)
	return out
}

func (p *virtualPC) bootID(t *testing.T, ctx context.Context) string {
	t.Helper()
	return strings.TrimSpace(p.run(t, ctx, "cat", "/proc/sys/kernel/random/boot_id"))
}

func (p *virtualPC) logIn(t *testing.T, ctx context.Context) {
	t.Helper()
	must(t, p.m.LogIn("alice", p.scene.Session()))
	must(t, p.scene.Await(ctx, machine.Victims()...))
}

// report opens an incident: then the evidence may take as long as the system allows.
// Without one it is not given the time that a processor needs that is only played.
func (p *virtualPC) report(t *testing.T, ctx context.Context) {
	t.Helper()
	_, err := p.m.Feed(ctx, "a note with demands is on the screen", agentInGuest, "report", "-")
	must(t, err)
}

func (p *virtualPC) journal() string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := p.m.Run(ctx, "journalctl", "--no-pager", "--quiet", "--output=short-precise", "--lines=60", "--unit=hozen-agent*", "--unit=systemd-logind")
	if err != nil {
		return err.Error()
	}
	return out
}

// lastMoment is the moment from which on a PC had no chance to write anything.
type lastMoment struct {
	at   time.Time     // by the guest's clock
	slow time.Duration // a round trip to the guest just before: how slow it is at present
	file string        // that the guest wrote just before and did not sync
}

// goDown lets the recorder take a few snapshots, notes the guest's clock, triggers and
// waits until the PC is down.
func (p *virtualPC) goDown(t *testing.T, ctx context.Context, trigger machine.Trigger, every time.Duration) lastMoment {
	t.Helper()
	select {
	case <-time.After(2*every + time.Second):
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
	asked := time.Now()
	file := fmt.Sprintf("/var/tmp/unsynced-%d", asked.UnixNano())
	said := strings.TrimSpace(p.run(t, ctx, "sh", "-c", "echo lost > "+file+"; date +%s%N"))
	answered := time.Now()
	ns, err := strconv.ParseInt(said, 10, 64)
	must(t, err)
	must(t, p.m.Trigger(ctx, trigger))
	triggered := time.Now()
	took, err := p.m.WaitDown(ctx)
	must(t, err)
	t.Logf("%s: down in %s", trigger, took.Round(time.Millisecond))
	must(t, p.m.Close())
	return lastMoment{time.Unix(0, ns).Add(triggered.Sub(answered)), answered.Sub(asked), file}
}

// received waits until the collector has n acquisitions of a trigger, has hozen-verify
// check the newest and returns it.
func (p *virtualPC) received(t *testing.T, ctx context.Context, trigger artifact.Trigger, n int) *machine.Evidence {
	t.Helper()
	var of []rig.Acquisition
	must(t, rig.Until(ctx, fmt.Sprintf("evidence %d of %s", n, trigger), func() (bool, error) {
		list, err := p.collector.Acquisitions(ctx, p.endpoint(t, ctx).ID)
		of = slices.DeleteFunc(list, func(a rig.Acquisition) bool { return a.Trigger != string(trigger) })
		return len(of) >= n, err
	}))
	newest := slices.MaxFunc(of, func(a, b rig.Acquisition) int { return a.StartedAt.Compare(b.StartedAt) })
	e, err := machine.ReadEvidence(p.verified(t, ctx, newest.ID))
	must(t, err)
	return e
}

// judged checks the verdict on the boot that is over.
func (p *virtualPC) judged(t *testing.T, e *machine.Evidence, way down, old string) {
	t.Helper()
	list, err := machine.Records[record.Boot](e, artifact.KindBoot)
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("%s: %d verdicts, want one", way.trigger, len(list))
	}
	b := list[0]
	if b.Verdict != way.verdict || b.PreviousBootID != old || b.BootID == old {
		t.Errorf("%s: the verdict is %s (%s) of boot %s by %s, want %s of boot %s; basis %+v", way.trigger, b.Verdict, b.Reason, b.PreviousBootID, b.BootID, way.verdict, old, b.Basis)
	}
	t.Logf("%s: %s, asked by %+v, gap %s to %s, added delay %s", way.trigger, b.Verdict, b.AskedBy,
		time.Duration(b.Gap.AtLeastNS).Round(time.Millisecond), time.Duration(b.Gap.AtMostNS).Round(time.Millisecond), time.Duration(b.Shutdown.AddedDelayNS).Round(time.Millisecond))
}

// flight checks that the flight record of the boot that is over holds the kernel's
// word of the start and the end of a short-lived process, and returns the times of its
// newest entry and of the newest that is there whatever happens. What the process was called is there if the recorder had the time.
func (p *virtualPC) flight(t *testing.T, e *machine.Evidence, old, pid string) (newest, beat time.Time) {
	t.Helper()
	list, err := machine.Records[record.Flight](e, artifact.KindFlight)
	must(t, err)
	seen := map[string]int{}
	for _, f := range list {
		if f.BootID != old {
			continue
		}
		if f.At.After(newest) {
			newest = f.At
		}
		if f.At.After(beat) && (f.Event == record.FlightHeartbeat || f.Event == record.FlightSnapshot) {
			beat = f.At
		}
		if f.Source == record.SourceConnector && strconv.Itoa(f.PID) == pid {
			seen[f.Event+" "+f.How]++
		}
	}
	for _, want := range []string{record.FlightProcessStarted + " " + record.FlightFork, record.FlightProcessStarted + " " + record.FlightExec, record.FlightProcessEnded + " "} {
		if seen[want] == 0 {
			t.Errorf("of %d events in the flight record none is %q of process %s, as the kernel told it; there are %v", len(list), want, pid, seen)
		}
	}
	if newest.IsZero() {
		t.Errorf("none of %d events in the flight record is of boot %s", len(list), old)
	}
	return newest, beat
}

// cameUpIsolated checks that a PC that was isolated has spoken to nobody but the
// collector since it was switched on, although a service of it tries all the time.
func (p *virtualPC) cameUpIsolated(t *testing.T, ctx context.Context) {
	t.Helper()
	at := func(unit string) int64 {
		out := strings.TrimSpace(p.run(t, ctx, "systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", unit))
		us, err := strconv.ParseInt(out, 10, 64)
		must(t, err)
		return us
	}
	rules, network := at("hozen-agent-isolation.service"), at("systemd-networkd.service")
	if rules == 0 || rules > network {
		t.Errorf("the rules stood at %d µs, the network service at %d µs", rules, network)
	}
	soon, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if err := p.scene.Await(soon, machine.InSystem); err == nil {
		t.Error("a service reached its server although the PC is isolated")
	}
	if e := p.endpoint(t, ctx); e.Isolation.Observed != "isolated" {
		t.Errorf("the collector says %+v", e.Isolation)
	}
}
