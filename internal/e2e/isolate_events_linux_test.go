package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
)

// TestIsolationEndsWhileTheCollectorIsAway: a person has set when it ends, so it ends
// then though nobody is there to say so; what happened and the evidence of it outlive
// the agent's death and arrive when the collector is back.
func TestIsolationEndsWhileTheCollectorIsAway(t *testing.T) {
	if err := netlab.Available(); err != nil {
		t.Skip(err)
	}
	ctx := within(t, patience)
	lab := rig.NewNursery()
	t.Cleanup(func() { lab.Close() })
	pc, err := lab.NewPracticePC(ctx, shortDir(t))
	must(t, err)
	t.Cleanup(func() { pc.Close() })
	s := newSystem(t, ctx, options{
		collector: rig.CollectorConfig{Agents: pc.Outside.At(4, 7443)},
		agent:     rig.AgentConfig{Host: pc.PC},
	})
	flows(t, ctx, pc, 4)
	until := time.Now().Add(12 * time.Second)
	early := until.Add(-time.Second) // the collector turns it into the agent's time
	cmd := s.order(t, ctx, "isolate", map[string]any{"isolation": map[string]any{"mode": "standard", "until": until}})
	if cmd.Status != "done" {
		t.Fatalf("isolate ended as %s: %s", cmd.Status, cmd.Detail)
	}
	must(t, s.collector.Proc.Stop())
	moved := pc.Moved(4)
	flows(t, ctx, pc, 4)
	if now := time.Now(); now.Before(early) {
		t.Errorf("%d bytes moved %s before its end", pc.Moved(4)-moved, until.Sub(now))
	}
	must(t, rig.Until(ctx, "the evidence of the end", func() (bool, error) {
		b, err := os.ReadFile(s.agent.Log)
		return strings.Contains(string(b), "released_by_time"), err
	}))
	s.agent.Proc.Kill()
	must(t, s.collector.Serve(ctx))
	must(t, s.agent.Run(ctx))

	var events []struct {
		Kind      string    `json:"kind"`
		CommandID string    `json:"command_id"`
		At        time.Time `json:"at"`
	}
	s.await(t, ctx, "what happened", func() (bool, error) {
		err := s.collector.Glass().Call(ctx, "endpoint.isolation_events", map[string]any{"ref": s.id}, &events)
		return len(events) > 0, err
	})
	if e := events[0]; len(events) != 1 || e.Kind != "released_by_time" || e.CommandID != cmd.ID || e.At.Before(early) {
		t.Errorf("the collector heard %+v", events)
	}
	occasions := map[string]record.Isolation{}
	for _, a := range s.awaitAcquisitions(t, ctx, 3) {
		if a.Trigger != string(artifact.TriggerProof) {
			continue
		}
		for _, l := range records[record.Isolation](t, s.verified(t, ctx, a.ID), artifact.KindIsolation) {
			occasions[l.Occasion] = l
		}
	}
	if l := occasions["isolate"]; l.Observed != "isolated" || l.Until.Before(early) || l.Until.After(until.Add(time.Second)) || l.CommandID != cmd.ID {
		t.Errorf("the proof of the order says %+v", l)
	}
	if l := occasions["released_by_time"]; l.Observed != "released" || l.Present || l.Ended.CommandID != cmd.ID {
		t.Errorf("the proof of the end says %+v", l)
	}
	s.clean(t, ctx)
}
