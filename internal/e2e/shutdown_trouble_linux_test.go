package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/e2e/machine"
	"hozen/internal/e2e/rig"
)

// TestShutdownWithoutCollector kills the collector before the PC is switched off: the
// evidence waits on the PC and arrives after the next boot.
func TestShutdownWithoutCollector(t *testing.T) {
	s := newSite(t, within(t, patience), siteOptions{settings: recorderSettings})
	each(t, string(machine.Poweroff), func(t *testing.T, ctx context.Context) {
		p := s.newPC(t, ctx, "")
		p.victimsUp(t, ctx)
		s.collector.Proc.Kill()
		f := p.fall(t, ctx, machine.Poweroff)
		must(t, s.collector.Serve(ctx))
		e := p.wholeEvidence(t, f, machine.Poweroff)
		boot, _ := p.secondBoot(t, ctx, f)
		p.received(t, ctx, "the evidence of the shutdown", func(a rig.Acquisition) bool { return a.ID == e.Manifest.AcquisitionID })
		t.Logf("without collector: down in %s, of which the agent says %s; verdict %s", ms(f.took), ms(time.Duration(boot.Shutdown.AddedDelayNS)), boot.Verdict)
		if boot.Verdict != record.BootCleanWithCapture {
			t.Errorf("the verdict is %s (%s), want %s\n%s", boot.Verdict, boot.Reason, record.BootCleanWithCapture, basis(boot))
		}
	})
}

// TestShutdownWithIncident switches a PC off that an open incident names: the agent
// may take the time to have the collector keep the evidence while the PC is up.
func TestShutdownWithIncident(t *testing.T) {
	s := newSite(t, within(t, patience), siteOptions{settings: recorderSettings})
	each(t, string(machine.Poweroff), func(t *testing.T, ctx context.Context) {
		p := s.newPC(t, ctx, "")
		p.victimsUp(t, ctx)
		_, err := p.m.Feed(ctx, "画面が変です", agentInGuest, "report", "-")
		must(t, err)
		p.received(t, ctx, "the evidence of the report", func(a rig.Acquisition) bool { return a.Trigger == string(artifact.TriggerAlert) })
		must(t, rig.Until(ctx, "the agent to know of the incident", func() (bool, error) {
			out, err := p.m.Run(ctx, "cat", "/var/lib/hozen/power/attention.json")
			return strings.Contains(out, `"incident_open":true`), err
		}))
		f := p.fall(t, ctx, machine.Poweroff)
		e := p.wholeEvidence(t, f, machine.Poweroff)
		// The PC is down: what the collector has now it had before.
		list, err := s.collector.Acquisitions(ctx, p.id)
		must(t, err)
		arrived := false
		for _, a := range list {
			if a.ID == e.Manifest.AcquisitionID {
				arrived = true
				if a.IncidentID == "" {
					t.Error("the evidence of the shutdown is not tied to the incident")
				}
			}
		}
		if !arrived {
			t.Errorf("the collector does not have the evidence of the shutdown; it has %+v", list)
		}
		t.Logf("with an incident: down in %s", ms(f.took))
	})
}

// wholeEvidence demands that the evidence of a shutdown lies sealed on the disk and
// shows every victim.
func (p *pc) wholeEvidence(t *testing.T, f fall, trigger machine.Trigger) *machine.Evidence {
	t.Helper()
	e := p.sealed(t, artifact.TriggerShutdown)
	if e == nil {
		t.Fatalf("%s: no evidence of the shutdown lies sealed on the disk", trigger)
	}
	if err := p.scene.MissingOf(f.flows, e, machine.Victims()...); err != nil {
		t.Errorf("%s: missing in the evidence of the shutdown:\n%v", trigger, err)
	}
	return e
}

// smallDisk gives the guest's agent a disk of 24 MB of its own.
const smallDisk = `mkdir -p "$1/var/lib/hozen"; mount -o loop "%s" "$1/var/lib/hozen"`

// TestShutdownDiskFull switches a PC off whose disk has no room left: it goes down in
// time all the same, and the next boot says that no evidence was kept.
func TestShutdownDiskFull(t *testing.T) {
	need(t, "mkfs.ext4")
	s := newSite(t, within(t, patience), siteOptions{settings: recorderSettings + "[spool]\nmin_free_bytes = 1048576\n"})
	each(t, string(machine.Poweroff), func(t *testing.T, ctx context.Context) {
		image := filepath.Join(t.TempDir(), "small.ext4")
		for _, cmd := range [][]string{{"truncate", "--size=24M", image}, {"mkfs.ext4", "-q", "-m", "0", image}} {
			if out, err := exec.CommandContext(ctx, cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", cmd, err, out)
			}
		}
		p := s.newPC(t, ctx, fmt.Sprintf(smallDisk, image))
		p.victimsUp(t, ctx)
		_, _ = p.m.Run(ctx, "dd", "if=/dev/zero", "of=/var/lib/hozen/ballast", "bs=64k") // ends when the disk is full
		f := p.fall(t, ctx, machine.Poweroff)
		t.Logf("disk full: down in %s", ms(f.took))

		p.boot(t, ctx)
		_, err := p.m.Run(ctx, "rm", "/var/lib/hozen/ballast")
		must(t, err)
		_, err = p.m.Run(ctx, "systemctl", "restart", "hozen-agent")
		must(t, err)
		p.awaitOnline(t, ctx)
		e := p.received(t, ctx, "the evidence of the boot", func(a rig.Acquisition) bool {
			return a.Trigger == string(artifact.TriggerBoot) && a.StartedAt.After(f.end)
		})
		list, err := machine.Records[record.Boot](e, artifact.KindBoot)
		must(t, err)
		if len(list) != 1 {
			t.Fatalf("%d verdicts: %+v", len(list), e.Manifest.Probes)
		}
		t.Logf("verdict %s (%s)\n%s", list[0].Verdict, list[0].Reason, basis(list[0]))
		switch list[0].Verdict {
		case record.BootCleanWithoutCapture, record.BootUnknown, record.BootAgentRestarted, record.BootFirstRun: // no more is known
		default:
			t.Errorf("the verdict is %s (%s), but nothing could be kept", list[0].Verdict, list[0].Reason)
		}
	})
}

// TestShutdownStuckFileSystem switches a PC off that runs a program from a file system
// which stopped answering: what hangs is left out and said so, the rest is there, and
// the PC goes down in time.
func TestShutdownStuckFileSystem(t *testing.T) {
	s := newSite(t, within(t, patience), siteOptions{settings: recorderSettings})
	program, err := victim()
	must(t, err)
	const mark = "victim-on-stuck"
	for _, trigger := range []machine.Trigger{machine.Poweroff, machine.IsolateTarget} {
		each(t, string(trigger), func(t *testing.T, ctx context.Context) {
			stuck, err := s.hall.NewStuckFS(program)
			if errors.Is(err, fs.ErrNotExist) {
				t.Skipf("this kernel has no FUSE: %v", err)
			}
			must(t, err)
			t.Cleanup(func() { must(t, stuck.Close()) })
			s.binds = []string{stuck.Dir() + ":/mnt"}
			t.Cleanup(func() { s.binds = nil })
			p := s.newPC(t, ctx, "")
			p.victimsUp(t, ctx)
			_, err = p.m.Run(ctx, "systemd-run", "--quiet", "--unit=stuck", "--property=WorkingDirectory=/mnt", "--property=Before=hozen-agent-shutdown.service",
				"--property=TimeoutStopSec=1s", // its own end hangs too, for as long as systemd lets it
				"/mnt/"+machine.StuckProgram, "-mark", mark, "-to", s.scene.Server())
			must(t, err)
			must(t, s.scene.Await(ctx, mark))
			must(t, stuck.Freeze())
			f := p.fall(t, ctx, trigger)
			e := p.wholeEvidence(t, f, trigger)
			if err := s.scene.MissingOf(f.flows, e, mark); err != nil {
				t.Errorf("%s: of the program on the stuck file system: %v", trigger, err)
			}
			t.Logf("stuck file system, %s: down in %s; evidence is %s", trigger, ms(f.took), incomplete(e))
			if e.Manifest.Outcome == artifact.Complete {
				t.Error("the outcome says that everything was read")
			}
			if p, ok := e.Probe(artifact.KindExeHash); !ok || p.Outcome == artifact.Complete {
				t.Errorf("the digests of programs are %+v, but one cannot be read", p)
			}
		})
	}
}

// TestShutdownCrowd switches a PC off with 3,000 more processes and 10,000 more
// sockets: everything is in the evidence, or the outcome says what is missing.
func TestShutdownCrowd(t *testing.T) {
	const processes, sockets, mark = 3000, 10_000, "victim-crowd"
	s := newSite(t, within(t, patience), siteOptions{settings: recorderSettings})
	each(t, string(machine.Poweroff), func(t *testing.T, ctx context.Context) {
		p := s.newPC(t, ctx, "")
		p.victimsUp(t, ctx)
		_, err := p.m.Run(ctx, "systemd-run", "--quiet", "--unit=crowd", "--property=TasksMax=infinity", "--property=LimitNOFILE=65536",
			"/usr/local/bin/victim", "-mark", mark, "-to", s.scene.Server(), "-processes", fmt.Sprint(processes), "-sockets", fmt.Sprint(sockets))
		must(t, err)
		must(t, s.scene.Await(ctx, mark))
		f := p.fall(t, ctx, machine.Poweroff)
		e := p.sealed(t, artifact.TriggerShutdown)
		if e == nil {
			t.Fatal("no evidence of the shutdown lies sealed on the disk")
		}
		boot, _ := p.secondBoot(t, ctx, f)
		t.Logf("crowd: %d processes and %d sockets in the evidence (%s), acquired in %s; down in %s, of which the agent says %s; verdict %s", len(e.Processes), len(e.Sockets),
			incomplete(e), ms(e.Manifest.FinishedAt.Wall.Sub(e.Manifest.StartedAt.Wall)), ms(f.took), ms(time.Duration(boot.Shutdown.AddedDelayNS)), boot.Verdict)
		missing := s.scene.MissingOf(f.flows, e, append(machine.Victims(), mark)...)
		ps, _ := e.Probe(artifact.KindProcess)
		ns, _ := e.Probe(artifact.KindNetConn)
		none := len(e.Processes) == 0 && len(e.Sockets) == 0
		if captured := boot.Verdict == record.BootCleanWithCapture; captured == none {
			t.Errorf("%d processes and %d sockets, and the verdict %s", len(e.Processes), len(e.Sockets), boot.Verdict)
		}
		if len(e.Processes) == 0 || len(e.Sockets) == 0 {
			// Each has a tenth of a second at least, which is little where ten programs wait for
			// each processor.
			if busy := load(); busy > 2*float64(runtime.NumCPU()) {
				t.Logf("%.1f programs run on %d processors: nothing was read of one kind", busy, runtime.NumCPU())
			} else {
				t.Errorf("%d processes and %d sockets: what there was time for is not there", len(e.Processes), len(e.Sockets))
			}
		}
		if whole := ps.Outcome == artifact.Complete && ns.Outcome == artifact.Complete; whole && (missing != nil || len(e.Processes) < processes || len(e.Sockets) < sockets) {
			t.Errorf("the outcome says that all is there, but it is not: %d processes, %d sockets, missing:\n%v", len(e.Processes), len(e.Sockets), missing)
		} else if missing != nil {
			t.Logf("missing, and said so:\n%v", missing)
		}
	})
}

// load is how many programs ran or waited to, on average of the last minute (proc(5)).
func load() (n float64) {
	b, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, err = fmt.Sscan(string(b), &n)
	}
	if err != nil {
		return 0
	}
	return n
}
