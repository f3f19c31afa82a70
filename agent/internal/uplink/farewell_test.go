package uplink_test

import (
	"context"
	"testing"
	"time"

	"hozen/agent/internal/uplink"
	"hozen/agent/internal/uplink/journal"
	agentv1 "hozen/proto/hozen/agent/v1"
)

func preserve(counter uint64, then agentv1.PreserveThen) *agentv1.Command {
	m := command(counter)
	m.Verb = &agentv1.Command_Preserve{Preserve: &agentv1.Preserve{Then: then}}
	return m
}

// down notes what was known at the moment in which the PC would have gone down.
type down struct {
	command journal.Command
	results int  // that the collector had
	on      bool // the result was on the disk
}

func TestThePCGoesDownAfterTheCollectorHasTheResult(t *testing.T) {
	c := newCollector(t)
	went := make(chan down, 4)
	p := newPC(t, c, time.Now()).start(t, func(cfg *uplink.Config) {
		cfg.FarewellTime = time.Minute
		cfg.GoDown = func(_ context.Context, o journal.Command, r journal.Result) {
			went <- down{o, len(c.told()), r.Status == journal.Done && len(cfg.Journal.Unfinished()) == 0}
		}
	})
	stay, off := preserve(1, agentv1.PreserveThen_PRESERVE_THEN_NOTHING), preserve(2, agentv1.PreserveThen_PRESERVE_THEN_POWER_OFF)
	c.connected(t)
	c.order(stay)
	c.order(off)
	d := <-went
	if d.command.ID != off.GetCommandId() || d.command.Then != journal.ThenPowerOff || d.results != 2 || !d.on {
		t.Errorf("%+v", d)
	}
	if r := c.told()[1]; r.GetAcquisitionId() == "" || r.GetStatus() != agentv1.CommandStatus_COMMAND_STATUS_DONE {
		t.Errorf("%v", r)
	}
	// The next start finds the result and does not go down again.
	p.stop()
	p.start(t, func(cfg *uplink.Config) {
		cfg.GoDown = func(_ context.Context, o journal.Command, _ journal.Result) { went <- down{command: o} }
	})
	c.cut()
	c.order(preserve(3, agentv1.PreserveThen_PRESERVE_THEN_REBOOT))
	if d := <-went; d.command.Then != journal.ThenReboot {
		t.Errorf("went down again: %+v", d)
	}
}

func TestThePCGoesDownWithoutACollectorThatAnswers(t *testing.T) {
	c := newCollector(t)
	c.deaf = true
	went := make(chan struct{})
	newPC(t, c, time.Now()).start(t, func(cfg *uplink.Config) {
		cfg.FarewellTime = 50 * time.Millisecond
		cfg.GoDown = func(context.Context, journal.Command, journal.Result) { close(went) }
	})
	c.order(preserve(1, agentv1.PreserveThen_PRESERVE_THEN_POWER_OFF))
	<-went
	if len(c.told()) == 0 {
		t.Error("the result was not even sent")
	}
}

func TestThePCDoesNotGoDownWhenNothingWasPreserved(t *testing.T) {
	c := newCollector(t)
	p := newPC(t, c, time.Now())
	p.handler.fail = true
	p.start(t, func(cfg *uplink.Config) {
		cfg.GoDown = func(context.Context, journal.Command, journal.Result) { t.Error("went down") }
	})
	c.connected(t)
	c.order(preserve(1, agentv1.PreserveThen_PRESERVE_THEN_POWER_OFF))
	newer := preserve(2, 99)
	c.order(newer)
	await(t, "results", func() bool { return len(c.told()) == 2 })
	if calls := p.handler.done(); len(calls) != 1 {
		t.Errorf("%+v", calls)
	}
	for _, r := range c.told() {
		want := agentv1.CommandStatus_COMMAND_STATUS_FAILED
		if r.GetCommandId() == newer.GetCommandId() {
			want = agentv1.CommandStatus_COMMAND_STATUS_UNSUPPORTED
		}
		if r.GetStatus() != want {
			t.Errorf("%v, want %s", r, want)
		}
	}
	p.stop() // waits for the lanes
}

func TestAttentionReachesTheAgent(t *testing.T) {
	c := newCollector(t)
	heard := make(chan uplink.Attention, 8)
	newPC(t, c, time.Now()).start(t, func(cfg *uplink.Config) { cfg.Attention = func(a uplink.Attention) { heard <- a } })
	say := func(open bool, number string) {
		c.push <- &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Attention{Attention: &agentv1.Attention{IncidentOpen: open, IncidentNumber: number}}}
	}
	say(true, "INC-2026-0007")
	if a := <-heard; a != (uplink.Attention{Open: true, IncidentNumber: "INC-2026-0007"}) {
		t.Errorf("%+v", a)
	}
	say(false, "")
	if a := <-heard; a != (uplink.Attention{}) {
		t.Errorf("%+v", a)
	}
	say(false, "INC-2026-0007") // against the rules: ends the session, is not told
	await(t, "another connection", func() bool { return c.count(func() int { return c.hellos }) == 2 })
	select {
	case a := <-heard:
		t.Errorf("told %+v", a)
	default:
	}
}
