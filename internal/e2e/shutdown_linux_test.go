package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/e2e/machine"
	"hozen/internal/e2e/rig"
)

// snapshotEvery is the time between two snapshots of the flight recorder in guests:
// shorter than the default, so that a test need not wait for the default's.
const snapshotEvery = 2 * time.Second

const recorderSettings = "[recorder]\nevery = \"2s\"\n"

// goesDownIn is how long a PC may take to go down, whatever stands in the way; the
// limit is the companion unit's own and some time of systemd's.
const goesDownIn = 15 * time.Second

// heldAtMost is the longest that a PC without an incident may be held, by the agent's
// own record: the promise is 500 ms, and a machine that runs other tests may be late.
const heldAtMost = 750 * time.Millisecond

// again is how often each scenario runs: the promise is "every time".
func again() int {
	if os.Getenv("HOZEN_SOAK") != "" {
		return 20
	}
	return 1
}

// each runs a scenario as often as it is to be.
func each(t *testing.T, name string, scenario func(t *testing.T, ctx context.Context)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		for n := range again() {
			t.Run(fmt.Sprint(n), func(t *testing.T) { scenario(t, within(t, patience)) })
		}
	})
}

// TestShutdownMatrix switches a PC off in every way that a container has. Whenever
// systemd is let stop anything, every victim and its connection is in the sealed
// evidence; the next boot says how the one before it ended.
func TestShutdownMatrix(t *testing.T) {
	s := newSite(t, within(t, patience), siteOptions{settings: recorderSettings})
	for _, trigger := range []machine.Trigger{
		machine.Poweroff, machine.ShutdownNow, machine.Init0, machine.PoweroffIgnoring, machine.IsolateTarget, machine.SigRTMin4,
	} {
		each(t, string(trigger), func(t *testing.T, ctx context.Context) {
			p := s.newPC(t, ctx, "")
			p.victimsUp(t, ctx)
			p.orderly(t, ctx, trigger)
		})
	}
	each(t, "agent-killed", func(t *testing.T, ctx context.Context) {
		p := s.newPC(t, ctx, "")
		p.victimsUp(t, ctx)
		p.killAgent(t, ctx)
		p.orderly(t, ctx, machine.Poweroff)
	})
	for _, trigger := range []machine.Trigger{machine.Force, machine.ForceForce, machine.PowerLoss} {
		each(t, string(trigger), func(t *testing.T, ctx context.Context) {
			p := s.newPC(t, ctx, "")
			p.victimsUp(t, ctx)
			p.abrupt(t, ctx, trigger)
		})
	}
}

// TestShutdownOfNewSystemd is the part of the matrix where systemd 257 differs.
func TestShutdownOfNewSystemd(t *testing.T) {
	s := newSite(t, within(t, patience), siteOptions{recipe: machine.Trixie(), settings: recorderSettings})
	for _, trigger := range []machine.Trigger{machine.Poweroff, machine.IsolateTarget} {
		each(t, string(trigger), func(t *testing.T, ctx context.Context) {
			p := s.newPC(t, ctx, "")
			p.victimsUp(t, ctx)
			p.orderly(t, ctx, trigger)
		})
	}
}

// TestShutdownWithoutAgent is what the delays of the others are compared with.
func TestShutdownWithoutAgent(t *testing.T) {
	s := newSite(t, within(t, patience), siteOptions{noAgent: true})
	each(t, string(machine.Poweroff), func(t *testing.T, ctx context.Context) {
		p := s.newPC(t, ctx, "")
		p.victimsUp(t, ctx)
		took := p.down(t, ctx, machine.Poweroff)
		t.Logf("poweroff without agent: down in %s", ms(took))
	})
}

func ms(d time.Duration) string { return d.Round(time.Millisecond).String() }

// killAgent kills the agent as something that fights it would, right before the PC is
// switched off.
func (p *pc) killAgent(t *testing.T, ctx context.Context) {
	t.Helper()
	_, err := p.m.Run(ctx, "systemctl", "kill", "--kill-whom=main", "--signal=KILL", "hozen-agent.service")
	must(t, err)
}

// fall is one way down and what came of it.
type fall struct {
	began, end time.Time // as this machine's clock says, which the guest shares
	took       time.Duration
	boot       string // the boot that ended
	flows      machine.Flows
}

func (p *pc) fall(t *testing.T, ctx context.Context, trigger machine.Trigger) fall {
	t.Helper()
	f := fall{began: time.Now(), boot: p.bootID(t, ctx), flows: p.scene.Flows()}
	f.took = p.down(t, ctx, trigger)
	f.end = time.Now()
	if f.took > goesDownIn {
		t.Errorf("%s: the PC took %s to go down, more than %s", trigger, ms(f.took), goesDownIn)
	}
	return f
}

func (p *pc) bootID(t *testing.T, ctx context.Context) string {
	t.Helper()
	id, err := p.m.Run(ctx, "cat", "/proc/sys/kernel/random/boot_id")
	must(t, err)
	return strings.TrimSpace(id)
}

// orderly switches the PC off and demands everything that is promised of an orderly
// shutdown.
func (p *pc) orderly(t *testing.T, ctx context.Context, trigger machine.Trigger) {
	t.Helper()
	f := p.fall(t, ctx, trigger)
	e := p.sealed(t, artifact.TriggerShutdown)
	if e == nil {
		t.Fatalf("%s: no evidence of the shutdown lies sealed on the disk", trigger)
	}
	victims := machine.Victims()
	missing := 0
	for _, v := range victims {
		if err := p.scene.MissingOf(f.flows, e, v); err != nil {
			missing++
			t.Errorf("%s: %v", trigger, err)
		}
	}
	started, finished := e.Manifest.StartedAt.Wall, e.Manifest.FinishedAt.Wall
	// The next boot delivers what was sealed, and its verdict.
	boot, _ := p.secondBoot(t, ctx, f)
	got := p.received(t, ctx, "the evidence of the shutdown", func(a rig.Acquisition) bool { return a.ID == e.Manifest.AcquisitionID })
	if got.Manifest.Trigger != artifact.TriggerShutdown {
		t.Errorf("%s: the collector has it under the trigger %q", trigger, got.Manifest.Trigger)
	}
	t.Logf("%s: %d of %d victims, %s; acquired %s after the trigger, sealed %s, age at the end %s; down in %s, of which the agent says %s; boot verdict %s (%s), gap %s..%s",
		trigger, len(victims)-missing, len(victims), incomplete(e), ms(started.Sub(f.began)), ms(finished.Sub(f.began)), ms(f.end.Sub(started)), ms(f.took),
		ms(time.Duration(boot.Shutdown.AddedDelayNS)), boot.Verdict, boot.Reason, ms(time.Duration(boot.Gap.AtLeastNS)), ms(time.Duration(boot.Gap.AtMostNS)))
	if boot.Verdict != record.BootCleanWithCapture {
		t.Errorf("%s: the verdict is %s (%s), want %s\n%s", trigger, boot.Verdict, boot.Reason, record.BootCleanWithCapture, basis(boot))
	}
	if held := time.Duration(boot.Shutdown.AddedDelayNS); held <= 0 || held > heldAtMost {
		t.Errorf("%s: the agent says that it held the PC for %s, want at most %s", trigger, held, heldAtMost)
	}
	if boot.Shutdown.AcquisitionID != e.Manifest.AcquisitionID {
		t.Errorf("%s: the verdict names the acquisition %q, sealed was %q", trigger, boot.Shutdown.AcquisitionID, e.Manifest.AcquisitionID)
	}
}

// incomplete tells the outcome of evidence and of the probes that did not read all.
func incomplete(e *machine.Evidence) string {
	said := string(e.Manifest.Outcome)
	for _, p := range e.Manifest.Probes {
		if p.Outcome != artifact.Complete && p.Outcome != artifact.Empty {
			said += fmt.Sprintf(" [%s %s: %s]", p.Kind, p.Outcome, p.Detail)
		}
	}
	return said
}

// abrupt ends the PC in a way that lets nobody do anything, and demands the flight
// recorder's last entry and the right verdict.
func (p *pc) abrupt(t *testing.T, ctx context.Context, trigger machine.Trigger) {
	t.Helper()
	// Whatever the recorder saw last, it must be younger than one interval and a second.
	<-time.After(snapshotEvery + 500*time.Millisecond)
	f := p.fall(t, ctx, trigger)
	boot, e := p.secondBoot(t, ctx, f)
	age := f.end.Sub(boot.LastEvidenceAt)
	t.Logf("%s: down in %s; newest evidence %s before the end; boot verdict %s (%s), gap %s..%s", trigger, ms(f.took), ms(age), boot.Verdict, boot.Reason,
		ms(time.Duration(boot.Gap.AtLeastNS)), ms(time.Duration(boot.Gap.AtMostNS)))
	if boot.LastEvidenceAt.IsZero() || age > snapshotEvery+time.Second {
		t.Errorf("%s: the newest evidence is of %s, %s before the end; want at most %s", trigger, boot.LastEvidenceAt, ms(age), snapshotEvery+time.Second)
	}
	want := []string{record.BootAbrupt}
	if trigger == machine.Force || trigger == machine.ForceForce {
		want = append(want, record.BootForced)
	}
	if !slices.Contains(want, boot.Verdict) {
		t.Errorf("%s: the verdict is %s (%s), want one of %v\n%s", trigger, boot.Verdict, boot.Reason, want, basis(boot))
	}
	p.inFlightRecord(t, e, f)
}

// inFlightRecord demands every victim and its connection in the flight record that
// came with the boot after the fall.
func (p *pc) inFlightRecord(t *testing.T, e *machine.Evidence, f fall) {
	t.Helper()
	list, err := machine.Records[record.Flight](e, artifact.KindFlight)
	must(t, err)
	shown := &machine.Evidence{}
	type ends struct {
		local, remote         string
		localPort, remotePort uint16
	}
	at := map[ends]int{} // who holds a connection may be found out after it was opened
	for _, r := range list {
		if r.BootID != "" && r.BootID != f.boot {
			continue
		}
		switch r.Event {
		case record.FlightProcessStarted, record.FlightProcessListed:
			shown.Processes = append(shown.Processes, record.Process{PID: r.PID, Args: r.Args, Exe: r.Exe, ExeDeleted: r.ExeDeleted})
		case record.FlightConnectionOpened, record.FlightConnectionListed, record.FlightConnectionChanged:
			k := ends{r.LocalAddr, r.RemoteAddr, r.LocalPort, r.RemotePort}
			n, known := at[k]
			if !known {
				n = len(shown.Sockets)
				at[k] = n
				shown.Sockets = append(shown.Sockets, record.Socket{Proto: r.Proto, LocalAddr: r.LocalAddr, LocalPort: r.LocalPort,
					RemoteAddr: r.RemoteAddr, RemotePort: r.RemotePort})
			}
			shown.Sockets[n].State = r.State
			if r.PID != 0 {
				shown.Sockets[n].Owners = []record.Owner{{PID: r.PID}}
			}
		}
	}
	if err := p.scene.MissingOf(f.flows, shown, machine.Victims()...); err != nil {
		t.Errorf("missing in the flight record of %d events:\n%v", len(list), err)
	}
}

// secondBoot boots the disk again and returns the verdict on the boot that fell,
// having held it against what is true, and the acquisition that it came with.
func (p *pc) secondBoot(t *testing.T, ctx context.Context, f fall) (record.Boot, *machine.Evidence) {
	t.Helper()
	again := time.Now()
	p.boot(t, ctx)
	p.awaitOnline(t, ctx)
	e := p.received(t, ctx, "the evidence of the boot", func(a rig.Acquisition) bool {
		return a.Trigger == string(artifact.TriggerBoot) && a.StartedAt.After(f.end)
	})
	list, err := machine.Records[record.Boot](e, artifact.KindBoot)
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("%d verdicts in the acquisition at boot, want 1: %+v", len(list), e.Manifest.Probes)
	}
	boot := list[0]
	if boot.PreviousBootID != f.boot || boot.BootID == f.boot || boot.BootID == "" {
		t.Errorf("the verdict is on boot %q in boot %q, want on %q", boot.PreviousBootID, boot.BootID, f.boot)
	}
	// It never claims more than it knows: what is true lies within its bounds.
	if !boot.EndedAfter.IsZero() && boot.EndedAfter.After(f.end) {
		t.Errorf("it says that the boot ended after %s, but it ended by %s\n%s", boot.EndedAfter, f.end, basis(boot))
	}
	if !boot.EndedBefore.IsZero() && (boot.EndedBefore.Before(f.began) || boot.EndedBefore.After(again.Add(time.Minute))) {
		t.Errorf("it says that the boot ended before %s, but that was between %s and %s", boot.EndedBefore, f.began, f.end)
	}
	return boot, e
}

// basis shows what a verdict stands on.
func basis(b record.Boot) string {
	var lines strings.Builder
	for _, s := range b.Basis {
		fmt.Fprintf(&lines, "  %s (%s): %s %s %s %s", s.Source, s.Witness, s.Read, s.Says, s.Leans, s.Detail)
		if !s.At.IsZero() {
			lines.WriteString(" at " + s.At.Format(time.RFC3339Nano))
		}
		lines.WriteByte('\n')
	}
	return lines.String()
}
