package e2e

import (
	"context"
	"testing"

	"hozen/internal/artifact"
	"hozen/internal/crashpoint"
	"hozen/internal/e2e/rig"
)

// TestKilledWhileRecovering kills a program a second time, while it puts right what
// the first kill left: that may not be done half, nor twice.
func TestKilledWhileRecovering(t *testing.T) {
	programs, err := builtToCrash()
	must(t, err)
	s := newSystem(t, within(t, patience), options{programs: &programs})
	agent := func() *rig.Proc { return s.agent.Proc }
	collector := func() *rig.Proc { return s.collector.Proc }
	for _, k := range []struct {
		first, second string
		victim        func() *rig.Proc
		start         func(ctx context.Context, env ...string) error
	}{
		{crashpoint.SpoolNote + ".after:3", crashpoint.SpoolSealFiles + ".after", agent, s.agent.Run},
		{crashpoint.SpoolPartSync + ".after:2", crashpoint.SpoolSeal + ".before", agent, s.agent.Run},
		{crashpoint.SpoolPartRename + ".after:4", crashpoint.SpoolSeal + ".after", agent, s.agent.Run},
		{crashpoint.EvidenceSealKept + ".after", crashpoint.EvidenceBlobKept + ".after:2", collector, s.collector.Serve},
		{crashpoint.EvidenceBlobKept + ".after:3", crashpoint.EvidenceRowsKept + ".before", collector, s.collector.Serve},
		{crashpoint.EvidenceBlobKept + ".before", crashpoint.EvidenceRowsKept + ".after", collector, s.collector.Serve},
	} {
		t.Run(k.first+" "+k.second, func(t *testing.T) {
			ctx := within(t, patience)
			must(t, k.victim().Stop())
			must(t, k.start(ctx, crashVar+"="+k.first))
			cmd := s.ask(t, ctx)
			s.awaitDeath(t, ctx, k.first, k.victim())
			if err := k.start(ctx, crashVar+"="+k.second); err != nil && k.victim().Ended() == nil {
				t.Fatal(err) // it may have been killed before it answers
			}
			s.awaitDeath(t, ctx, k.second, k.victim())
			must(t, k.start(ctx))
			s.finished(t, ctx, cmd)
			s.exactlyOnce(t, ctx)
		})
	}
	s.clean(t, within(t, patience))
}

// TestReportedThenKilled kills the agent when it has promised to deliver a report and
// has not begun the capture that goes with it.
func TestReportedThenKilled(t *testing.T) {
	programs, err := builtToCrash()
	must(t, err)
	ctx := within(t, patience)
	s := newSystem(t, ctx, options{programs: &programs})
	must(t, s.agent.Proc.Stop())
	point := crashpoint.JournalAlert + ".after"
	must(t, s.agent.Run(ctx, crashVar+"="+point))
	if _, err := s.agent.Report(ctx, "killed at once"); err == nil {
		t.Error("report to an agent that was killed says that all is well")
	}
	s.awaitDeath(t, ctx, point, s.agent.Proc)
	must(t, s.agent.Run(ctx))
	got := s.awaitAcquisitions(t, ctx, 1)[0]
	if got.Trigger != string(artifact.TriggerAlert) || got.IncidentID == "" {
		t.Errorf("acquisition %+v, want one of the alert, in its incident", got)
	}
	s.verified(t, ctx, got.ID)
	s.exactlyOnce(t, ctx)
}
