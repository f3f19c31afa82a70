package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/e2e/machine"
	"hozen/internal/e2e/rig"
)

const ransom = "脅迫文が出て、止めるしかないため"

// TestShutdownByPreserve switches a PC off by the one way that keeps the evidence on
// purpose: at the PC, without network, and by an operator's order.
func TestShutdownByPreserve(t *testing.T) {
	s := newSite(t, within(t, patience), siteOptions{settings: recorderSettings})
	atThePC := []string{agentInGuest, "preserve", "--poweroff", "--yes", "--reason", ransom, "--wait", "10"}
	each(t, "at the PC", func(t *testing.T, ctx context.Context) {
		p := s.newPC(t, ctx, "")
		p.victimsUp(t, ctx)
		p.preserved(t, ctx, "local", func() { must(t, p.m.Start(ctx, atThePC...)) }, nil)
	})
	each(t, "without collector", func(t *testing.T, ctx context.Context) {
		p := s.newPC(t, ctx, "")
		p.victimsUp(t, ctx)
		s.collector.Proc.Kill()
		p.preserved(t, ctx, "local", func() { must(t, p.m.Start(ctx, atThePC...)) }, func() { must(t, s.collector.Serve(ctx)) })
	})
	each(t, "by order", func(t *testing.T, ctx context.Context) {
		p := s.newPC(t, ctx, "")
		p.victimsUp(t, ctx)
		p.preserved(t, ctx, "collector", func() {
			glass := s.collector.Glass()
			var gate struct {
				Confirmed string `json:"confirmed"`
			}
			must(t, glass.Call(ctx, "endpoint.gate", map[string]any{"ref": p.id}, &gate))
			must(t, glass.Call(ctx, "command.order", map[string]any{
				"verb": "preserve", "endpoint": p.id, "then": "power_off", "reason": ransom, "confirmed": gate.Confirmed,
			}, nil))
		}, nil)
	})
}

// preserved has the PC preserved and switched off, and demands the evidence of the
// decision, that of the moment it went down, and a verdict that knows of both. back
// brings back what was taken away before the next boot.
func (p *pc) preserved(t *testing.T, ctx context.Context, via string, decide, back func()) {
	t.Helper()
	f := fall{began: time.Now(), boot: p.bootID(t, ctx), flows: p.scene.Flows()}
	decide()
	soon, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	f.took, err = p.m.WaitDown(soon)
	must(t, err)
	must(t, p.m.Close())
	f.end = time.Now()

	d := p.sealed(t, artifact.TriggerPreserve)
	if d == nil {
		t.Fatal("no evidence of the decision lies sealed on the disk")
	}
	if err := p.scene.MissingOf(f.flows, d, machine.Victims()...); err != nil {
		t.Errorf("missing in the evidence of the decision:\n%v", err)
	}
	decided, err := machine.Records[record.Preserve](d, artifact.KindPreserve)
	must(t, err)
	if len(decided) != 1 || decided[0].Then != "power_off" || decided[0].Via != via || decided[0].Reason != ransom || decided[0].DecidedBy == "" ||
		via == "local" && !slices.Contains(decided[0].Shown, "memory") {
		t.Errorf("the decision is on record as %+v", decided)
	}
	e := p.wholeEvidence(t, f, "preserve")
	if back != nil {
		back()
	}
	boot, _ := p.secondBoot(t, ctx, f)
	for _, id := range []string{d.Manifest.AcquisitionID, e.Manifest.AcquisitionID} {
		p.received(t, ctx, "the evidence of the decision and of the shutdown", func(a rig.Acquisition) bool { return a.ID == id })
	}
	t.Logf("preserve: sealed %s, down after %s; verdict %s, asked by %q", ms(d.Manifest.FinishedAt.Wall.Sub(f.began)), ms(f.end.Sub(f.began)), boot.Verdict, boot.AskedBy.By)
	if boot.Verdict != record.BootCleanWithCapture || boot.AskedBy.By != "preserve" {
		t.Errorf("the verdict is %s (%s), asked by %+v, want %s by preserve\n%s", boot.Verdict, boot.Reason, boot.AskedBy, record.BootCleanWithCapture, basis(boot))
	}
}
