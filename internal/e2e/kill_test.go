package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/crashpoint"
	"hozen/internal/e2e/rig"
)

// crashVar tells a program where to be killed, see package crashpoint.
const crashVar = "HOZEN_CRASH_AT"

// rounds is how often the repetitions of `make soak` go through all points.
const rounds = 25

// TestKilledAtEveryStep kills agent and collector (SIGKILL) before and after every
// step of an order, a seal, an upload and a receipt. Whatever was sealed must be there
// exactly once afterwards, every order must come to an end, and fsck must be clean.
func TestKilledAtEveryStep(t *testing.T) {
	programs, err := builtToCrash()
	must(t, err)
	n := 1
	if os.Getenv("HOZEN_SOAK") != "" {
		n = rounds
	}
	keep := newSystem(t, within(t, 2*patience), options{programs: &programs})
	drop := newSystem(t, within(t, 2*patience), options{programs: &programs, agent: rig.AgentConfig{Settings: "[spool]\nkeep_after_receipt = \"0s\"\n"}})
	for round := range n {
		for _, point := range points() {
			t.Run(fmt.Sprintf("%s/%d", point, round), func(t *testing.T) {
				ctx := within(t, patience)
				switch {
				case strings.HasPrefix(point, "evidence."), strings.HasPrefix(point, "database."):
					keep.killCollector(t, ctx, point)
				case strings.HasPrefix(point, crashpoint.JournalAlert):
					keep.killWhileReporting(t, ctx, point)
				case strings.HasPrefix(point, crashpoint.SpoolDrop):
					drop.killAgent(t, ctx, point)
				default:
					keep.killAgent(t, ctx, point)
					keep.exactlyOnce(t, ctx)
				}
			})
		}
	}
	ctx := within(t, patience)
	keep.exactlyOnce(t, ctx)
	keep.clean(t, ctx)
	drop.clean(t, ctx)
}

// commits is at how many of the commits that follow each other a collector is killed:
// the agent comes back, an order is kept, acknowledged, carried out, evidence arrives.
const commits = 8

// points lists every moment at which a program is killed. That of a commit comes
// again and again, and each time it is another act that is cut in two.
func points() (list []string) {
	for _, p := range crashpoint.All() {
		if !strings.HasPrefix(p, "database.") {
			list = append(list, p)
			continue
		}
		for n := range commits {
			list = append(list, fmt.Sprintf("%s:%d", p, n+1))
		}
	}
	return list
}

// killAgent lets the agent be killed at point while it carries out an order.
func (s *system) killAgent(t *testing.T, ctx context.Context, point string) {
	t.Helper()
	must(t, s.agent.Proc.Stop())
	must(t, s.agent.Run(ctx, crashVar+"="+point))
	cmd := s.ask(t, ctx)
	s.awaitDeath(t, ctx, point, s.agent.Proc)
	must(t, s.agent.Run(ctx))
	s.finished(t, ctx, cmd)
}

// killCollector lets the collector be killed at point, wherever that is between its
// start and the arrival of evidence.
func (s *system) killCollector(t *testing.T, ctx context.Context, point string) {
	t.Helper()
	must(t, s.collector.Proc.Stop())
	// It may be killed before it answers at all, or while it takes the order.
	if err := s.collector.Serve(ctx, crashVar+"="+point); err == nil {
		var cmd rig.Command
		in := map[string]string{"verb": "acquire", "endpoint": s.id, "reason": "test"}
		if err := s.collector.Glass().Call(ctx, "command.order", in, &cmd); err != nil {
			t.Logf("the order was cut off: %v", err)
		}
	}
	if strings.HasPrefix(point, "database.") {
		// Acts share commits when they come together, so more may have to follow.
		s.await(t, ctx, "the kill", func() (bool, error) {
			err := s.collector.Glass().Call(ctx, "endpoint.label", map[string]string{"ref": s.id, "label": t.Name()}, nil)
			return s.collector.Proc.Ended() != nil, err
		})
	}
	s.awaitDeath(t, ctx, point, s.collector.Proc)
	must(t, s.collector.Serve(ctx))
	s.await(t, ctx, "the end of every order", func() (bool, error) {
		var list []rig.Command
		err := s.collector.Glass().Call(ctx, "command.list", map[string]string{"endpoint": s.id}, &list)
		for _, c := range list {
			if c.Status == "queued" || c.Status == "accepted" {
				return false, err
			}
		}
		return err == nil, err
	})
	s.exactlyOnce(t, ctx)
}

// killWhileReporting lets the agent be killed while it takes down what a person
// reports: the person is told that it failed, or the report arrives exactly once.
func (s *system) killWhileReporting(t *testing.T, ctx context.Context, point string) {
	t.Helper()
	must(t, s.agent.Proc.Stop())
	must(t, s.agent.Run(ctx, crashVar+"="+point))
	message := "report at " + point + " " + t.Name()
	if number, err := s.agent.Report(ctx, message); err == nil {
		t.Errorf("report to an agent that was killed says %q", number)
	}
	s.awaitDeath(t, ctx, point, s.agent.Proc)
	must(t, s.agent.Run(ctx))
	want := 1
	if strings.HasSuffix(point, ".before") {
		want = 0
		_, err := s.agent.Report(ctx, "again: "+t.Name()) // what comes later must not overtake
		must(t, err)
	}
	s.await(t, ctx, "the report", func() (bool, error) {
		st, err := s.agent.Status(ctx)
		return err == nil && st.Connected && st.UnsentAlerts == 0 && st.Spool.Waiting == 0, err
	})
	if got := s.told(t, ctx, message); got != want {
		t.Errorf("the report stands %d times in the timelines, want %d", got, want)
	}
	s.exactlyOnce(t, ctx)
}

// told counts the timeline entries that hold a message.
func (s *system) told(t *testing.T, ctx context.Context, message string) (n int) {
	t.Helper()
	var list []rig.Incident
	must(t, s.collector.Glass().Call(ctx, "incident.list", nil, &list))
	for _, i := range list {
		must(t, s.collector.Glass().Call(ctx, "incident.show", map[string]string{"ref": i.ID}, &i))
		for _, e := range i.Timeline {
			if strings.Contains(e.Text, message) {
				n++
			}
		}
	}
	return n
}

// ask orders evidence and does not wait.
func (s *system) ask(t *testing.T, ctx context.Context) (cmd rig.Command) {
	t.Helper()
	in := map[string]string{"verb": "acquire", "endpoint": s.endpoint(t, ctx).ID, "reason": "test"}
	must(t, s.collector.Glass().Call(ctx, "command.order", in, &cmd))
	return cmd
}

// awaitDeath waits until a program was killed at its point.
func (s *system) awaitDeath(t *testing.T, ctx context.Context, point string, p *rig.Proc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	select {
	case <-p.Done():
		if p.ExitCode() != -1 {
			t.Fatalf("%s: the program ended by itself: %v", point, p.Ended())
		}
	case <-ctx.Done():
		t.Fatalf("%s was never reached", point)
	}
}

// finished waits until an order has come to an end and its evidence is accepted.
func (s *system) finished(t *testing.T, ctx context.Context, cmd rig.Command) {
	t.Helper()
	var waited struct {
		Command     rig.Command      `json:"command"`
		Acquisition *rig.Acquisition `json:"acquisition"`
	}
	must(t, s.collector.Glass().Call(ctx, "command.wait", map[string]any{"command_id": cmd.ID, "evidence": true}, &waited))
	switch c := waited.Command; c.Status {
	case "done", "failed": // failed: what the dead agent had taken was sealed as interrupted
		if waited.Acquisition == nil {
			t.Errorf("the order ended as %s without evidence: %s", c.Status, c.Detail)
		}
	default:
		t.Errorf("the order ended as %s: %s", c.Status, c.Detail)
	}
}

// exactlyOnce holds the agent's spool against what the collector accepted: what was
// sealed is there once, with the same manifest, and the agent has its receipt.
func (s *system) exactlyOnce(t *testing.T, ctx context.Context) {
	t.Helper()
	var sealed map[string]string // acquisition → SHA-256 of its manifest
	s.await(t, ctx, "receipts for everything that was sealed", func() (bool, error) {
		var err error
		sealed, err = s.sealed()
		for id := range sealed {
			if _, err := os.Stat(filepath.Join(s.agent.Dir, "spool", id, artifact.ReceiptFile)); err != nil {
				return false, err
			}
		}
		return err == nil, err
	})
	list, err := s.collector.Acquisitions(ctx, s.endpoint(t, ctx).ID)
	must(t, err)
	var got, want []string
	for _, a := range list {
		got = append(got, a.ID+" "+a.ManifestSHA256)
	}
	for id, sum := range sealed {
		want = append(want, id+" "+sum)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the collector has\n%s\nthe agent sealed\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// sealed reads the spool: what bears a signature is sealed.
func (s *system) sealed() (map[string]string, error) {
	found, err := filepath.Glob(filepath.Join(s.agent.Dir, "spool", "acq_*", artifact.SignatureFile))
	if err != nil {
		return nil, err
	}
	sealed := map[string]string{}
	for _, f := range found {
		manifest, err := os.ReadFile(filepath.Join(filepath.Dir(f), artifact.ManifestFile))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(manifest)
		sealed[filepath.Base(filepath.Dir(f))] = hex.EncodeToString(sum[:])
	}
	return sealed, nil
}
