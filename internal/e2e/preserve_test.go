package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// TestPreserveByOrder: an operator's order to preserve takes evidence that says who
// decided, a PC is not switched off without what it costs having been confirmed, and
// the agent hears whether an incident is open.
func TestPreserveByOrder(t *testing.T) {
	ctx := within(t, patience)
	s := newSystem(t, ctx, options{})
	glass := s.collector.Glass()
	const reason = "感染を確認したため"
	cmd := s.order(t, ctx, "preserve", map[string]any{"reason": reason})
	if cmd.Status != "done" || cmd.AcquisitionID == "" {
		t.Fatalf("preserve ended as %s: %s", cmd.Status, cmd.Detail)
	}
	a := s.awaitAcquisitions(t, ctx, 1)[0]
	if a.Trigger != string(artifact.TriggerPreserve) || a.ID != cmd.AcquisitionID {
		t.Errorf("%+v", a)
	}
	decided := records[record.Preserve](t, s.verified(t, ctx, a.ID), artifact.KindPreserve)
	if len(decided) != 1 || decided[0].Then != "nothing" || decided[0].Via != "collector" || decided[0].Reason != reason || decided[0].CommandID != cmd.ID {
		t.Errorf("%+v", decided)
	}
	for _, confirmed := range []string{"", "0123456789abcdef"} {
		err := glass.Call(ctx, "command.order", map[string]any{"verb": "preserve", "endpoint": s.id, "then": "power_off", "reason": reason, "confirmed": confirmed}, nil)
		if err == nil || !strings.Contains(err.Error(), "confirmed") {
			t.Errorf("confirmed %q: %v", confirmed, err)
		}
	}
	s.awaitAttention(t, ctx, `"incident_open":true`)
	must(t, glass.Call(ctx, "incident.close", map[string]string{"ref": a.IncidentID}, nil))
	s.awaitAttention(t, ctx, `"incident_open":false`)
	s.clean(t, ctx)
}

func (s *system) awaitAttention(t *testing.T, ctx context.Context, want string) {
	t.Helper()
	s.await(t, ctx, "the agent to know "+want, func() (bool, error) {
		b, err := os.ReadFile(filepath.Join(s.agent.Dir, "power", "attention.json"))
		if os.IsNotExist(err) {
			return false, nil
		}
		return strings.Contains(strings.ReplaceAll(string(b), " ", ""), want), err
	})
}
