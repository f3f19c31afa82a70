package e2e

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
)

// TestIsolateByClick is the promise of the product: a person clicks 「隔離して保全」,
// evidence is there first, a flow that was moving bytes stops, IPv6 too, the collector
// keeps its channel, and 「解除」 brings the flow back.
func TestIsolateByClick(t *testing.T) {
	if err := netlab.Available(); err != nil {
		t.Skip(err)
	}
	ctx := within(t, 2*patience)
	lab := rig.NewNursery()
	t.Cleanup(func() { lab.Close() })
	pc, err := lab.NewPracticePC(ctx, shortDir(t))
	must(t, err)
	t.Cleanup(func() { pc.Close() })
	s := newSystem(t, ctx, options{
		collector: rig.CollectorConfig{Agents: pc.Outside.At(4, 7443)},
		agent:     rig.AgentConfig{Host: pc.PC},
	})
	families := []int{4}
	if pc.HasIPv6() {
		families = append(families, 6)
	}
	for _, f := range families {
		flows(t, ctx, pc, f)
		if err := dials(pc, f); err != nil {
			t.Fatalf("before: a new connection over IPv%d: %v", f, err)
		}
	}
	b := openBrowser(t, "http://"+s.collector.Console+"/")
	b.signIn(rig.Owner, s.collector.OneTime)
	b.do(chromedp.Navigate(b.base + "endpoints/" + s.endpoint(t, ctx).ID))
	b.until(state, "隔離していません")
	b.click("隔離して保全")
	b.there("#reason")
	b.do(chromedp.SendKeys("#reason", "不審な画面が出たと連絡"))
	b.click("隔離して保全する")
	b.until(state, "隔離済み")

	still(t, pc)
	for _, f := range families {
		if err := dials(pc, f); err == nil {
			t.Errorf("isolated: a new connection over IPv%d went through", f)
		}
	}
	e := s.endpoint(t, ctx)
	if !e.Online || e.Isolation.Observed != "isolated" || !e.Isolation.WayHome {
		t.Errorf("isolated: the collector says %+v", e)
	}
	// The evidence of the click was taken before the cut, and what was measured after it
	// is evidence too; both arrived through the rules.
	triggers := map[string]string{}
	for _, got := range s.awaitAcquisitions(t, ctx, 2) {
		triggers[got.Trigger] = got.ID
	}
	if triggers["isolation"] == "" || triggers["isolation_proof"] == "" {
		t.Fatalf("the acquisitions' triggers are %v", triggers)
	}
	s.verified(t, ctx, triggers["isolation"])
	dir := s.verified(t, ctx, triggers["isolation_proof"])
	proof := records[record.Isolation](t, dir, artifact.KindIsolation)
	if len(proof) != 1 || proof[0].Occasion != "isolate" || proof[0].Observed != "isolated" || !proof[0].Complete || !proof[0].WayHome.OK ||
		proof[0].Digest == "" || proof[0].Digest != proof[0].Expected || len(proof[0].Links) == 0 {
		t.Errorf("the proof says %+v", proof)
	}
	home := false
	for _, x := range proof[0].Trials {
		if x.Outcome == "contrary" {
			t.Errorf("tried through the rules: %+v", x)
		}
		home = home || x.Name == "collector" && x.Outcome == "as_ordered"
	}
	if !home {
		t.Errorf("the way to the collector was not tried: %+v", proof[0].Trials)
	}
	if ended := records[record.Severed](t, dir, artifact.KindSevered); len(ended) < len(families) {
		t.Errorf("the proof lists the connections %+v", ended)
	}
	// The channel lives: an order is carried out while the PC is cut off.
	if cmd := s.order(t, ctx, "acquire", nil); cmd.Status != "done" {
		t.Errorf("isolated: acquire ended as %s: %s", cmd.Status, cmd.Detail)
	}
	// It stays cut off when the agent dies, and after the agent's restart.
	s.agent.Proc.Kill()
	still(t, pc)
	must(t, s.agent.Run(ctx))
	s.awaitConnected(t, ctx)
	still(t, pc)

	b.do(chromedp.Navigate(b.base + "endpoints/" + e.ID))
	b.until(state, "隔離済み")
	b.click("解除")
	b.there("#reason")
	b.do(chromedp.SendKeys("#reason", "調査を終えたため"))
	b.click("隔離を解除する")
	b.until(state, "隔離していません")
	for _, f := range families {
		flows(t, ctx, pc, f)
		if err := dials(pc, f); err != nil {
			t.Errorf("released: a new connection over IPv%d: %v", f, err)
		}
	}
	s.clean(t, ctx)
}

// state is where the endpoint's page says what was measured of its network.
const state = "#h-isolation"

// flows waits until bytes of the practice PC arrive outside.
func flows(t *testing.T, ctx context.Context, pc *rig.PracticePC, family int) {
	t.Helper()
	from := pc.Moved(family)
	must(t, rig.Until(ctx, fmt.Sprintf("bytes over IPv%d", family), func() (bool, error) { return pc.Moved(family) > from+1024, nil }))
}

// still fails the test when bytes of the practice PC arrive outside within a time in
// which dozens of blocks are due.
func still(t *testing.T, pc *rig.PracticePC) {
	t.Helper()
	four, six := pc.Moved(4), pc.Moved(6)
	<-time.After(1500 * time.Millisecond)
	if n := pc.Moved(4) - four; n > 0 {
		t.Errorf("%d bytes over IPv4 went through", n)
	}
	if n := pc.Moved(6) - six; n > 0 {
		t.Errorf("%d bytes over IPv6 went through", n)
	}
}

// dials tries a new connection from the practice PC to outside.
func dials(pc *rig.PracticePC, family int) error {
	l, err := net.Listen("tcp", pc.Outside.At(family, 0))
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, err := pc.PC.Dial(ctx, "tcp", l.Addr().String())
	if err == nil {
		c.Close()
	}
	return err
}
