package e2e

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/e2e/rig"
)

func TestFlowOnSQLite(t *testing.T) {
	ctx := within(t, patience)
	flow(t, ctx, newSystem(t, ctx, options{}))
}

func TestFlowOnPostgreSQL(t *testing.T) {
	ctx := within(t, patience)
	pg := rig.NewNursery()
	t.Cleanup(func() { pg.Close() })
	url, dir, err := pg.Postgres(ctx)
	if dir != "" {
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	if errors.Is(err, rig.ErrNoPostgres) {
		t.Skip(err)
	}
	must(t, err)
	flow(t, ctx, newSystem(t, ctx, options{collector: rig.CollectorConfig{Database: url}}))
}

// flow is the main job: the PC's user reports trouble, evidence arrives in an
// incident and is verified; an operator asks for more.
func flow(t *testing.T, ctx context.Context, s *system) {
	const message = "画面に身代金の要求が出ました <b>急ぎ</b>"
	number, err := s.agent.Report(ctx, message)
	must(t, err)
	if !strings.HasPrefix(number, "INC-") {
		t.Fatalf("report: incident number %q", number)
	}
	first := s.awaitAcquisitions(t, ctx, 1)[0]
	if first.Trigger != string(artifact.TriggerAlert) || first.Items == 0 || first.Records == 0 {
		t.Errorf("acquisition %+v, want one of an alert, with records", first)
	}
	var incident rig.Incident
	must(t, s.collector.Glass().Call(ctx, "incident.show", map[string]string{"ref": number}, &incident))
	if incident.ID != first.IncidentID {
		t.Errorf("evidence is tied to incident %s, the report opened %s", first.IncidentID, incident.ID)
	}
	told := false
	for _, e := range incident.Timeline {
		told = told || strings.Contains(e.Text, message)
	}
	if !told {
		t.Errorf("the timeline does not hold the message: %+v", incident.Timeline)
	}
	dir := s.verified(t, ctx, first.ID)
	agentSeen := false
	for _, p := range records[record.Process](t, dir, artifact.KindProcess) {
		agentSeen = agentSeen || p.PID == s.agent.Proc.PID()
	}
	if !agentSeen {
		t.Error("the evidence does not show the agent's own process")
	}

	cmd := s.order(t, ctx, "acquire", map[string]any{"profile": "flash", "incident": number})
	if cmd.Status != "done" || cmd.AcquisitionID == "" {
		t.Errorf("acquire ended as %s: %s", cmd.Status, cmd.Detail)
	}
	for _, a := range s.awaitAcquisitions(t, ctx, 2) {
		if a.ID == cmd.AcquisitionID {
			s.verified(t, ctx, a.ID)
		}
	}
	if check := s.clean(t, ctx); check.Acquisitions != 2 {
		t.Errorf("fsck counts %d acquisitions, want 2", check.Acquisitions)
	}
	// What the collector kept is proven again when it is not running.
	must(t, s.collector.Proc.Stop())
	r, err := s.collector.CLI(ctx, "fsck", "--json")
	must(t, err)
	if r.Code != 0 {
		t.Errorf("fsck of a stopped collector: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}
